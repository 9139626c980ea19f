from jaxpose import metric_writer


def test_resumed_log_has_no_doubles(tmp_path):
  writer = metric_writer.MetricWriter(str(tmp_path))
  for step in (10, 20, 30):
    writer.write(step, {"loss": step / 10})
  writer.close()
  with (tmp_path / "metrics.jsonl").open("a") as file:
    file.write('{"step": 40, "lo')  # a killed run leaves its last line cut
  writer = metric_writer.MetricWriter(str(tmp_path), resume_step=20)
  writer.write(30, {"loss": 9.0})
  writer.close()
  assert [(line["step"], line["loss"]) for line in metric_writer.read(str(tmp_path))] == [
    (10, 1.0),
    (20, 2.0),
    (30, 9.0),
  ]


def test_fresh_log_replaces_an_old_one(tmp_path):
  for _ in range(2):
    writer = metric_writer.MetricWriter(str(tmp_path))
    writer.write(1, {"loss": 1.0})
    writer.close()
  assert len(metric_writer.read(str(tmp_path))) == 1
