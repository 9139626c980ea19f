// The script of viewer.html, which viewer.py puts into the page with the poses in place of DATA.
"use strict";
const data = /*DATA*/null;

function bytes(text) {
  const raw = atob(text), out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}
const T = data.frames, N = data.ids.length, J = data.names.length, MISSING = -32768;
const poses = new Int16Array(bytes(data.positions).buffer);   // [T, N, J, 3] mm, y up
const pixels = new Int16Array(bytes(data.keypoints).buffer);  // [T, N, J, 2]
const status = bytes(data.status);                            // [T, N, J]: 0 seen, 1 filled, 2 missing
const COLOURS = ["#2563c9", "#12855f", "#a0459b", "#b26a00", "#5b6b8c", "#c0392b"];
const $ = id => document.getElementById(id);
const shown = data.ids.map(() => true);
let now = 0, playing = false, last = 0, dirty = true;
let theme = {};

// A joint of a person in a frame; null where nobody is.
function point(t, n, j) {
  const i = ((t * N + n) * J + j) * 3;
  return poses[i] === MISSING ? null : [poses[i] / 1000, poses[i + 1] / 1000, poses[i + 2] / 1000];
}
const there = (t, n) => poses[((t * N + n) * J + data.root) * 3] !== MISSING;

// The middle and the extent of everything that happens, for the first view.
const bounds = (() => {
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
  for (let i = 0; i < poses.length; i += 3) {
    if (poses[i] === MISSING) continue;
    for (let k = 0; k < 3; k++) {
      const v = poses[i + k] / 1000;
      if (v < low[k]) low[k] = v;
      if (v > high[k]) high[k] = v;
    }
  }
  return low[0] > high[0] ? { low: [-1, 0, -1], high: [1, 2, 1] } : { low, high };
})();
const middle = bounds.low.map((v, k) => (v + bounds.high[k]) / 2);
const extent = Math.max(1.6, Math.hypot(...bounds.high.map((v, k) => v - bounds.low[k])));
const eye = { turn: 0, tilt: 0, far: 0, at: [0, 0, 0] };
function look(turn, tilt) {
  Object.assign(eye, { turn, tilt, far: 1.08 * extent + 0.7, at: [...middle] });
  dirty = true;
}

// Canvas of the size of its place, in CSS pixels whatever the screen's density.
function prepare(canvas) {
  const scale = window.devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * scale) || canvas.height !== Math.round(h * scale)) {
    canvas.width = Math.round(w * scale);
    canvas.height = Math.round(h * scale);
  }
  const g = canvas.getContext("2d");
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, w, h);
  g.lineCap = g.lineJoin = "round";
  return [g, w, h];
}

// A viewer turned about the vertical and tilted down, looking at eye.at: [x, y, depth] on the canvas, or null behind.
function project(p, w, h) {
  const x = p[0] - eye.at[0], y = p[1] - eye.at[1], z = p[2] - eye.at[2];
  const c = Math.cos(eye.turn), s = Math.sin(eye.turn), ct = Math.cos(eye.tilt), st = Math.sin(eye.tilt);
  const across = c * x - s * z, ahead = s * x + c * z;
  const up = ct * y - st * ahead, near = st * y + ct * ahead;
  const depth = eye.far - near;
  if (depth < 0.15) return null;
  const f = 1.45 * Math.min(h, 1.25 * w) / depth;
  return [w / 2 + f * across, h / 2 - f * up, depth, f];
}

function line(g, a, b, colour, width) {
  if (!a || !b) return;
  g.strokeStyle = colour;
  g.lineWidth = width;
  g.beginPath();
  g.moveTo(a[0], a[1]);
  g.lineTo(b[0], b[1]);
  g.stroke();
}

function drawFloor(g, w, h) {
  const step = extent > 12 ? 2 : extent > 5 ? 1 : 0.5, room = 1.2;
  const x0 = Math.floor((bounds.low[0] - room) / step) * step, x1 = Math.ceil((bounds.high[0] + room) / step) * step;
  const z0 = Math.floor((bounds.low[2] - room) / step) * step, z1 = Math.ceil((bounds.high[2] + room) / step) * step;
  for (let x = x0; x <= x1 + 1e-9; x += step)
    line(g, project([x, 0, z0], w, h), project([x, 0, z1], w, h), theme.line, Math.abs(x) < 1e-9 ? 1.8 : 1);
  for (let z = z0; z <= z1 + 1e-9; z += step)
    line(g, project([x0, 0, z], w, h), project([x1, 0, z], w, h), theme.line, Math.abs(z) < 1e-9 ? 1.8 : 1);
  g.fillStyle = theme.soft;
  g.font = "11px system-ui, sans-serif";
  const corner = project([x1, 0, z1], w, h);
  if (corner) g.fillText("grid " + step + " m", corner[0] + 4, corner[1] + 4);
}

// Where a person has been on the floor: the past solid, the future faint.
function drawPath(g, w, h, n) {
  for (const [from, to, alpha] of [[0, now, 0.75], [now, T - 1, 0.22]]) {
    g.globalAlpha = alpha;
    g.strokeStyle = COLOURS[n % COLOURS.length];
    g.lineWidth = 2;
    g.beginPath();
    let open = false;
    const stride = Math.max(1, Math.floor((to - from) / 400));
    for (let t = from; t <= to; t += stride) {
      const p = point(t, n, data.root), q = p && project([p[0], 0, p[2]], w, h);
      if (!q) open = false;
      else if (open) g.lineTo(q[0], q[1]);
      else { g.moveTo(q[0], q[1]); open = true; }
    }
    g.stroke();
  }
  g.globalAlpha = 1;
}

function drawShadow(g, w, h, n) {
  g.globalAlpha = 0.10;
  for (const [child, parent] of data.bones) {
    const a = point(now, n, child), b = point(now, n, parent);
    if (a && b) line(g, project([a[0], 0, a[2]], w, h), project([b[0], 0, b[2]], w, h), theme.ink, 7);
  }
  g.globalAlpha = 1;
}

const sideColour = j => (data.sides[j] < 0 ? theme.left : data.sides[j] > 0 ? theme.right : theme.middle);

function dot(g, p, kind, radius) {
  g.beginPath();
  g.arc(p[0], p[1], radius, 0, 2 * Math.PI);
  g.fillStyle = kind === 1 ? theme.filled : theme.card;
  g.strokeStyle = kind === 1 ? theme.filled : kind === 2 ? theme.missing : theme.ink;
  g.lineWidth = kind === 2 ? 2 : 1.2;
  g.fill();
  g.stroke();
}

function name(g, p, n) {
  g.font = "600 12px system-ui, sans-serif";
  g.textAlign = "center";
  g.lineWidth = 4;
  g.strokeStyle = theme.card;
  g.fillStyle = COLOURS[n % COLOURS.length];
  g.strokeText("person " + data.ids[n], p[0], p[1] - 14);
  g.fillText("person " + data.ids[n], p[0], p[1] - 14);
  g.textAlign = "left";
}

function drawStage() {
  const [g, w, h] = prepare($("stage"));
  const fade = g.createLinearGradient(0, 0, 0, h);
  fade.addColorStop(0, theme.stage);
  fade.addColorStop(1, theme.low);
  g.fillStyle = fade;
  g.fillRect(0, 0, w, h);
  drawFloor(g, w, h);
  const parts = [];
  for (let n = 0; n < N; n++) {
    if (!shown[n]) continue;
    if (data.world) drawPath(g, w, h, n);
    if (!there(now, n)) continue;
    drawShadow(g, w, h, n);
    const p = data.names.map((_, j) => { const q = point(now, n, j); return q && project(q, w, h); });
    let top = null;
    data.bones.forEach(([child, parent]) => {
      const a = p[child], b = p[parent];
      if (a && b) parts.push([(a[2] + b[2]) / 2, () => line(g, a, b, sideColour(child), Math.max(2.5, 0.028 * (a[3] + b[3]) / 2))]);
    });
    p.forEach((q, j) => {
      if (!q) return;
      if (!top || q[1] < top[1]) top = q;
      const kind = status[(now * N + n) * J + j];
      parts.push([q[2] - 0.12, () => dot(g, q, kind, Math.max(2.2, 0.017 * q[3]))]);
    });
    if (top) parts.push([-1, () => name(g, top, n)]);
  }
  parts.sort((a, b) => b[0] - a[0]).forEach(part => part[1]());  // the farthest first
}

function drawImage() {
  const [g, w, h] = prepare($("image"));
  const scale = Math.min((w - 24) / data.size[0], (h - 8) / data.size[1]);
  const x0 = (w - scale * data.size[0]) / 2, y0 = (h - 4 - scale * data.size[1]) / 2;
  g.fillStyle = theme.low;
  g.strokeStyle = theme.line;
  g.lineWidth = 1;
  g.fillRect(x0, y0, scale * data.size[0], scale * data.size[1]);
  g.strokeRect(x0, y0, scale * data.size[0], scale * data.size[1]);
  for (let n = 0; n < N; n++) {
    if (!shown[n]) continue;
    const p = data.names.map((_, j) => {
      const i = ((now * N + n) * J + j) * 2;
      return pixels[i] === MISSING ? null : [x0 + scale * pixels[i] / data.fine, y0 + scale * pixels[i + 1] / data.fine];
    });
    data.bones.forEach(([child, parent]) => line(g, p[child], p[parent], sideColour(child), 2.5));
    let top = null;
    p.forEach((q, j) => {
      if (!q) return;
      if (!top || q[1] < top[1]) top = q;
      dot(g, q, status[(now * N + n) * J + j], 2.6);
    });
    if (top) name(g, top, n);
  }
}

// A row a person: how much of them is seen, filled or missing in each frame.
function drawTime() {
  const [g, w, h] = prepare($("time"));
  const rows = Math.max(1, N), high = Math.min(12, (h - 10) / rows), wide = Math.ceil(w);
  for (let n = 0; n < N; n++) {
    const y = (h - rows * high) / 2 + n * high;
    for (let x = 0; x < wide; x++) {
      const from = Math.floor(x / wide * T), to = Math.max(from + 1, Math.floor((x + 1) / wide * T));
      let worst = 0, present = false;
      for (let t = from; t < to && t < T; t++) {
        if (!there(t, n)) continue;
        present = true;
        let filled = 0, missing = 0;
        for (let j = 0; j < J; j++) {
          const kind = status[(t * N + n) * J + j];
          filled += kind === 1;
          missing += kind === 2;
        }
        worst = Math.max(worst, missing > J / 4 ? 2 : filled > J / 4 ? 1 : 0);
      }
      if (!present) continue;
      g.globalAlpha = shown[n] ? 1 : 0.3;
      g.fillStyle = worst === 2 ? theme.missing : worst === 1 ? theme.filled : COLOURS[n % COLOURS.length];
      g.fillRect(x, y + 1, 1, high - 2);
    }
  }
  g.globalAlpha = 1;
  const x = T > 1 ? now / (T - 1) * (w - 3) + 1.5 : 1.5;
  line(g, [x, 2], [x, h - 2], theme.ink, 2.5);
}

function draw() {
  const style = getComputedStyle(document.documentElement), get = key => style.getPropertyValue("--" + key).trim();
  theme = { ink: get("ink"), soft: get("soft"), line: get("line"), card: get("card"), left: get("left"),
    right: get("right"), middle: get("middle"), filled: get("filled"), missing: get("missing"), stage: get("stage"),
    low: get("stage-low") };
  drawStage();
  drawImage();
  drawTime();
  const clock = s => Math.floor(s / 60) + ":" + (s % 60).toFixed(2).padStart(5, "0");
  $("frame").textContent = "frame " + (data.first + now) + "   " + clock(now / data.fps);
  $("time").setAttribute("aria-valuenow", String(now));
  $("time").setAttribute("aria-valuemax", String(T - 1));
}

let clock = 0;
function tick(time) {
  if (playing) {
    clock += (time - last) / 1000 * data.fps * Number($("speed").value);
    const next = Math.floor(clock) % Math.max(1, T);
    if (next !== now) { now = next; dirty = true; }
  }
  last = time;
  if (dirty) { dirty = false; draw(); }
  requestAnimationFrame(tick);
}
function seek(frame) {
  now = Math.max(0, Math.min(T - 1, Math.round(frame)));
  clock = now;
  dirty = true;
}
function play(on) {
  playing = on;
  clock = now;
  $("play").textContent = on ? "Pause" : "Play";
}

const pointers = new Map();
const stage = $("stage");
stage.addEventListener("pointerdown", e => {
  pointers.set(e.pointerId, [e.clientX, e.clientY]);
  stage.setPointerCapture(e.pointerId);
  stage.classList.add("dragging");
});
stage.addEventListener("pointermove", e => {
  const before = pointers.get(e.pointerId);
  if (!before) return;
  const dx = e.clientX - before[0], dy = e.clientY - before[1];
  if (pointers.size === 2) {  // two fingers: apart is nearer
    const other = [...pointers].find(([id]) => id !== e.pointerId)[1];
    const was = Math.hypot(before[0] - other[0], before[1] - other[1]);
    const is = Math.hypot(e.clientX - other[0], e.clientY - other[1]);
    if (is > 1) zoom(was / is);
  } else if (e.shiftKey || e.buttons === 4 || e.buttons === 2) {
    const metres = eye.far / (1.45 * stage.clientHeight), c = Math.cos(eye.turn), s = Math.sin(eye.turn);
    eye.at[0] -= c * dx * metres;
    eye.at[2] += s * dx * metres;
    eye.at[1] += dy * metres;
  } else {
    eye.turn -= dx * 0.008;
    eye.tilt = Math.max(-0.3, Math.min(1.55, eye.tilt + dy * 0.006));
  }
  pointers.set(e.pointerId, [e.clientX, e.clientY]);
  dirty = true;
});
for (const kind of ["pointerup", "pointercancel"])
  stage.addEventListener(kind, e => {
    pointers.delete(e.pointerId);
    if (!pointers.size) stage.classList.remove("dragging");
  });
function zoom(factor) {
  eye.far = Math.max(0.8, Math.min(8 * extent, eye.far * factor));
  dirty = true;
}
stage.addEventListener("wheel", e => { e.preventDefault(); zoom(Math.exp(0.0012 * e.deltaY)); }, { passive: false });
stage.addEventListener("contextmenu", e => e.preventDefault());
const timeline = $("time");
const atPointer = e => seek((e.clientX - timeline.getBoundingClientRect().left) / timeline.clientWidth * (T - 1));
timeline.addEventListener("pointerdown", e => { timeline.setPointerCapture(e.pointerId); atPointer(e); });
timeline.addEventListener("pointermove", e => { if (e.buttons) atPointer(e); });
$("play").addEventListener("click", () => play(!playing));
document.addEventListener("keydown", e => {
  if (e.target.tagName === "SELECT") return;
  if (e.key === " ") { e.preventDefault(); play(!playing); }
  else if (e.key === "ArrowRight") seek(now + (e.shiftKey ? 10 : 1));
  else if (e.key === "ArrowLeft") seek(now - (e.shiftKey ? 10 : 1));
  else if (e.key === "Home") seek(0);
  else if (e.key === "End") seek(T - 1);
});
$("play").addEventListener("keyup", e => { if (e.key === " ") e.preventDefault(); });
for (const [label, turn, tilt] of [["view", -0.6, 0.22], ["camera", 0, 0.06], ["side", -Math.PI / 2, 0.06], ["top", 0, 1.55]]) {
  const button = document.createElement("button");
  button.textContent = label;
  button.addEventListener("click", () => look(turn, tilt));
  $("views").append(button);
}
data.ids.forEach((id, n) => {
  const button = document.createElement("button");
  button.className = "person";
  button.textContent = "person " + id;
  button.style.setProperty("--colour", COLOURS[n % COLOURS.length]);
  button.setAttribute("aria-pressed", "true");
  button.title = "Show or hide";
  button.addEventListener("click", () => {
    shown[n] = !shown[n];
    button.setAttribute("aria-pressed", String(shown[n]));
    dirty = true;
  });
  $("people").append(button);
});
document.title = $("title").textContent = data.title;
for (const [key, value] of Object.entries(data.provenance)) {
  const term = document.createElement("dt"), text = document.createElement("dd");
  term.textContent = key.replaceAll("_", " ");
  const texts = Array.isArray(value) && value.every(v => typeof v === "string");
  text.textContent = typeof value === "string" ? value : texts ? value.join("\n") : JSON.stringify(value);
  $("about").append(term, text);
}
$("image").style.aspectRatio = data.size[0] + " / " + data.size[1];
$("image").style.maxHeight = "100%";
$("size").textContent = data.size[0] + "×" + data.size[1];
new ResizeObserver(() => { dirty = true; }).observe(stage);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { dirty = true; });
look(-0.6, 0.22);
requestAnimationFrame(tick);
