"""The shell of every page: one HTML file that holds everything it shows and loads nothing from anywhere."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

from novosky.pages.style import STYLE

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
"""The page may load nothing from anywhere: what it shows is in the file."""
STILL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The same for a page that runs no script."""

COLOURS = """
function resolve(value,css){
  if(typeof value==='string'){return value.indexOf('var(')===0?css.getPropertyValue(value.slice(4,-1)).trim():value;}
  if(Array.isArray(value)){return typeof value[0]==='number'?value:value.map(function(v){return resolve(v,css);});}
  if(!value||typeof value!=='object'){return value;}
  var copy={};
  Object.keys(value).forEach(function(k){copy[k]=resolve(value[k],css);});
  return copy;
}
"""
"""For the scripts of pages: figures name their colours as CSS variables, plotly wants values; lists of numbers are
passed through as they are, since they are long."""


def document(title: str, body: str, data: Mapping[str, Any], plotly_script: str, script: str, style: str = "") -> str:
    """Return a page with charts as one HTML text that needs no network.

    Parameters
    ----------
    title, body : str
        Plain text; finished HTML.
    data : mapping
        What the script finds as JSON in the element `page`; NaN is refused.
    plotly_script : str
        The source of plotly.js.
    script : str
        The page's own, run last.
    style : str
        What this page adds to `STYLE`.
    """
    # "</" inside a string would end the script element; JSON allows the escaped slash.
    content = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
    return (
        f"{_head(title, POLICY, style)}<body><main>{body}</main>\n"
        f'<script type="application/json" id="page">{content}</script>\n'
        f"<script>{plotly_script}</script>\n<script>{script}</script></body></html>\n"
    )


def plain_document(title: str, body: str, style: str = "") -> str:
    """Return a page without any script, in the same style.

    Parameters
    ----------
    title, body, style : str
        As of `document`.
    """
    return f"{_head(title, STILL_POLICY, style)}<body><main>{body}</main></body></html>\n"


def _head(title: str, policy: str, style: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="color-scheme" content="light dark">'
        f"<title>{html.escape(title)}</title><style>{STYLE}{style}</style></head>\n"
    )
