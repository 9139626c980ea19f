"""A self-contained HTML page: text, tables, and pictures as data URIs; nothing is loaded from anywhere."""

import base64
import html
import io
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1100px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; } h2 { margin-top: 2.2em; border-bottom: 1px solid #ccc; } h3 { margin-bottom: 0.3em; }
table { border-collapse: collapse; margin: 0.6em 0; font-size: 0.9em; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25em 0.7em; text-align: right; border-bottom: 1px solid #e5e5e5; white-space: nowrap; }
th { border-bottom: 2px solid #999; white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
.wide { overflow-x: auto; } img { max-width: 100%; } .note { color: #555; font-size: 0.9em; }
.banner { background: #fff3cd; padding: 0.5em 1em; border-left: 4px solid #e0a800; }
code, pre { background: #f5f5f5; font-size: 0.9em; } pre { padding: 0.6em 1em; overflow-x: auto; }
"""


class Section(NamedTuple):
  """A heading and what stands under it, in HTML."""

  title: str
  body: list[str]


def paragraph(text: str, kind: str = "") -> str:
  """A paragraph of plain text; `kind` is a class of the style sheet, "note" or "banner"."""
  return f"<p{_class(kind)}>{html.escape(text)}</p>"


def heading(text: str) -> str:
  return f"<h3>{html.escape(text)}</h3>"


def code(text: str) -> str:
  return f"<pre>{html.escape(text)}</pre>"


def table(lines: Sequence[Sequence[str]]) -> str:
  """A table of text cells; the first line is the heading, the first column names the rows."""
  if any(len(line) != len(lines[0]) for line in lines):
    raise ValueError(f"the lines of a table have {sorted({len(line) for line in lines})} cells; they must be equal")
  rows = ["".join(f"<td>{html.escape(c)}</td>" for c in line) for line in lines[1:]]
  head = "".join(f"<th>{html.escape(c)}</th>" for c in lines[0])
  body = "\n".join(f"<tr>{row}</tr>" for row in rows)
  return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def picture(figure: Figure, description: str, dpi: int = 110) -> str:
  """A figure as an image inside the page; `description` is read to those who do not see it."""
  buffer = io.BytesIO()
  figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
  data = base64.b64encode(buffer.getvalue()).decode()
  return f'<p><img alt="{html.escape(description)}" src="data:image/png;base64,{data}"></p>'


def document(title: str, sections: Sequence[Section]) -> str:
  """The page."""
  parts = [f"<h2>{html.escape(s.title)}</h2>\n" + "\n".join(s.body) for s in sections if s.title]
  head = [p for s in sections if not s.title for p in s.body]
  return "\n".join(
    [
      "<!DOCTYPE html>",
      f'<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>',
      f"<style>{_STYLE}</style></head><body>",
      f"<h1>{html.escape(title)}</h1>",
      *head,
      *parts,
      "</body></html>\n",
    ]
  )


def _class(kind: str) -> str:
  return f' class="{kind}"' if kind else ""
