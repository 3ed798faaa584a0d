"""The report's shell: its style, its script, and the document that holds everything in one file."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
"""The page may load nothing from anywhere: what it shows is in the file."""
STILL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The same for a page that runs no script."""

STYLE = """
:root{--ground:#f6f7f9;--card:#fff;--text:#1b222c;--muted:#5b6675;--faint:#a0a9b6;--line:#e3e7ec;--accent:#2563c9;
--gain:#0b8a6a;--loss:#c93a3a;--gain-soft:#0b8a6a26;--loss-soft:#c93a3a2b;--warn:#8a5a00;--warn-soft:#fff4d6;--range:#5b667529}
@media(prefers-color-scheme:dark){:root{--ground:#101419;--card:#181e25;--text:#e4e9ef;--muted:#98a4b3;--faint:#667282;
--line:#2a323c;--accent:#6ea8ff;--gain:#35c49b;--loss:#f07167;--gain-soft:#35c49b2e;--loss-soft:#f0716733;--warn:#ffcf6b;
--warn-soft:#33290f;--range:#98a4b333}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1240px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:26px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:17px;margin:0 0 12px}
h3{font-size:13px;margin:0 0 8px;color:var(--muted);font-weight:600}
p{margin:0 0 10px}.sub,.note{color:var(--muted)}.note{font-size:13px;margin:10px 0 0}
.made{color:var(--muted);font-size:13px}.made code{font-size:12px;overflow-wrap:anywhere}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:20px 22px;margin-top:18px}
.warning{background:var(--warn-soft);border-color:var(--warn);color:var(--warn);padding:12px 18px}
.severe{background:#b3261e;border-color:#b3261e;color:#fff;font-weight:700;font-size:17px;padding:18px 22px}
.hero{display:grid;grid-template-columns:minmax(200px,250px) 1fr;gap:28px;align-items:center}
.score{font-size:54px;font-weight:700;line-height:1;letter-spacing:-.03em;font-variant-numeric:tabular-nums}
.score.none{font-size:26px;letter-spacing:0}
.pill{display:inline-block;margin-top:10px;padding:3px 12px;border-radius:99px;font-weight:600;font-size:13px;
background:var(--loss-soft);color:var(--loss)}
.pill.good{background:var(--gain-soft);color:var(--gain)}.pill.fair{background:var(--warn-soft);color:var(--warn)}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:16px 20px}
.tile span{display:block;font-size:12.5px;color:var(--muted)}
.tile b{font-size:21px;font-weight:650;font-variant-numeric:tabular-nums}
.tile small{display:block;color:var(--muted);font-size:12.5px}
.cols{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:28px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--muted);font-weight:600;font-size:12.5px}
tr:last-child td{border-bottom:0}
th:first-child,td:first-child{text-align:left;padding-left:0}th:last-child,td:last-child{padding-right:0}
table.dense{font-size:12.5px}table.dense th,table.dense td{padding:5px 6px}table.dense th{font-size:12px}
table.pairs td:first-child{color:var(--muted)}table.pairs td{white-space:normal}
.up{color:var(--gain)}.down{color:var(--loss)}
table.months td{text-align:center;padding:6px 4px;border:2px solid var(--card);border-radius:6px}
table.months th{text-align:center}table.months td:first-child,table.months th:first-child{text-align:left;
padding-right:8px}
.bar{display:grid;grid-template-columns:minmax(104px,auto) 1fr auto;gap:10px;align-items:center;font-size:13.5px;
padding:3px 0}
.bars{display:block}.bar span{width:116px}.bar i{height:12px;background:var(--line);border-radius:3px;overflow:hidden}
.bar i b{display:block;height:100%;background:var(--accent)}
.bar em{font-style:normal;min-width:78px;text-align:right;font-variant-numeric:tabular-nums}
.strip{position:relative;height:16px;min-width:220px}
.strip:before{content:"";position:absolute;left:0;right:0;top:7px;height:2px;background:var(--line)}
.strip i{position:absolute;top:3px;height:10px;background:var(--faint);opacity:.55;border-radius:3px}
.strip u{position:absolute;top:1px;width:2px;height:14px;background:var(--text);opacity:.6}
.strip b{position:absolute;top:2px;width:12px;height:12px;margin-left:-6px;border-radius:50%;
border:2px solid var(--card);background:var(--accent)}
.strip b.gain{background:var(--gain)}.strip b.loss{background:var(--loss)}
#trades{font-size:12.5px}#trades th,#trades td{padding:5px 6px}#trades th{font-size:12px}
#trades th{cursor:pointer;user-select:none}#trades th:focus-visible{outline:2px solid var(--accent)}
#trades th[aria-sort=ascending]:after{content:" \\2191"}#trades th[aria-sort=descending]:after{content:" \\2193"}
.pager{display:flex;gap:10px;align-items:center;margin-top:12px;font-size:13.5px;color:var(--muted)}
button{font:inherit;font-size:13px;color:var(--text);background:var(--ground);border:1px solid var(--line);
border-radius:6px;padding:4px 12px;cursor:pointer}button:disabled{opacity:.4;cursor:default}
@media(max-width:720px){.hero{grid-template-columns:1fr}section{padding:16px}}
@page{size:A4;margin:12mm}
@media print{*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
body{background:#fff;font-size:12px}main{max-width:none;padding:0}section{break-inside:avoid;padding:12px 14px}
section.long{break-inside:auto}.pager,.modebar-container,.modebar{display:none!important}.scroll{overflow:visible}
#trades,#trades th{font-size:7px}#trades th,#trades td{padding:2px}table.dense,table.dense th{font-size:8px}
table.dense th,table.dense td{padding:2px 3px}.cols table,.cols th{font-size:8.5px}
.cols th,.cols td{padding:2px 3px}.hero{grid-template-columns:170px 1fr}.cols{gap:14px}
.cols,.tiles{grid-template-columns:repeat(auto-fit,minmax(150px,1fr))}.strip{min-width:120px}}
"""

SCRIPT = """
(function(){
'use strict';
var page=JSON.parse(document.getElementById('page').textContent);
function resolve(value,css){
  if(typeof value==='string'){return value.indexOf('var(')===0?css.getPropertyValue(value.slice(4,-1)).trim():value;}
  if(Array.isArray(value)){return typeof value[0]==='number'?value:value.map(function(v){return resolve(v,css);});}
  if(!value||typeof value!=='object'){return value;}
  var copy={};
  Object.keys(value).forEach(function(k){copy[k]=resolve(value[k],css);});
  return copy;
}
function draw(){
  var css=getComputedStyle(document.documentElement);
  Object.keys(page.figures).forEach(function(id){
    var figure=resolve(page.figures[id],css),layout=figure.layout,line=css.getPropertyValue('--line').trim();
    layout.font={family:'system-ui, sans-serif',size:12,color:css.getPropertyValue('--muted').trim()};
    layout.paper_bgcolor=layout.plot_bgcolor='rgba(0,0,0,0)';
    layout.margin=layout.margin||{l:64,r:12,t:28,b:36};
    layout.modebar={bgcolor:'rgba(0,0,0,0)',color:css.getPropertyValue('--faint').trim(),
      activecolor:css.getPropertyValue('--accent').trim()};
    layout.legend={orientation:'h',x:0,y:1.0,yanchor:'bottom'};
    layout.hoverlabel={bgcolor:css.getPropertyValue('--card').trim(),font:{color:css.getPropertyValue('--text').trim()}};
    Object.keys(layout).forEach(function(k){
      if(/^[xy]axis/.test(k)){layout[k].gridcolor=line;layout[k].linecolor=line;layout[k].zerolinecolor=line;
        layout[k].automargin=true;
        if(layout[k].rangeselector){layout[k].rangeselector.bgcolor=line;
          layout[k].rangeselector.activecolor=css.getPropertyValue('--faint').trim();}}
    });
    Plotly.react(id,figure.data,layout,{responsive:true,displaylogo:false,showSendToCloud:false,plotlyServerURL:'',
      modeBarButtonsToRemove:['select2d','lasso2d','autoScale2d']});
  });
}
draw();
// Zooming along the time fits the prices in view: plotly keeps the old height by itself.
var price=document.getElementById('price'),low=page.figures.price.data[0],high=page.figures.price.data[1];
price.on('plotly_relayout',function(change){
  if('yaxis.range[0]' in change||'yaxis.range' in change){return;}
  if(!('xaxis.range[0]' in change||'xaxis.range' in change||'xaxis.autorange' in change)){return;}
  if(change['xaxis.autorange']){Plotly.relayout(price,{'yaxis.autorange':true});return;}
  var view=price.layout.xaxis.range.map(function(t){return typeof t==='number'?t:Date.parse(t.replace(' ','T')+
    (t.length>10?'Z':''));});
  var least=Infinity,most=-Infinity;
  low.x.forEach(function(t,k){if(t>=view[0]&&t<=view[1]){least=Math.min(least,low.y[k]);most=Math.max(most,high.y[k]);}});
  if(least<most){var room=0.05*(most-least);Plotly.relayout(price,{'yaxis.range':[least-room,most+room]});}
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change',draw);
// Paper is narrower than the screen the charts were drawn for, and has no second page to click to.
var paper=660;
window.addEventListener('beforeprint',function(){
  Object.keys(page.figures).forEach(function(id){
    var box=document.getElementById(id),half=box.closest('.cols')!==null;
    Plotly.relayout(id,{width:half?paper/2:paper,autosize:false});
  });
});
window.addEventListener('afterprint',function(){
  Object.keys(page.figures).forEach(function(id){Plotly.relayout(id,{width:null,autosize:true});});
});

var box=document.getElementById('trades');
if(!box){return;}
var columns=page.trades.columns,rows=page.trades.rows,size=50,first=0,sorted=0,down=false;
var head=box.querySelector('thead'),body=box.querySelector('tbody'),where=document.getElementById('where');
var back=document.getElementById('back'),next=document.getElementById('next'),all=document.getElementById('all');
function time(ms){return new Date(ms).toISOString().slice(0,16).replace('T',' ');}
function cell(value,kind){
  var td=document.createElement('td');
  if(value===null){td.textContent='n/a';}
  else if(kind==='time'){td.textContent=time(value);}
  else if(kind==='text'){td.textContent=value;}
  else{td.textContent=value.toLocaleString('en-US',{minimumFractionDigits:+kind[1],maximumFractionDigits:+kind[1]});
    if(kind[0]==='s'){td.className=value>0?'up':value<0?'down':'';}}
  return td;
}
function show(){
  body.textContent='';
  rows.slice(first,first+size).forEach(function(row){
    var tr=document.createElement('tr');
    row.forEach(function(value,k){tr.appendChild(cell(value,columns[k][1]));});
    body.appendChild(tr);
  });
  where.textContent=rows.length?(first+1)+' to '+Math.min(first+size,rows.length)+' of '+rows.length:'no trades';
  back.disabled=first===0;next.disabled=first+size>=rows.length;all.disabled=size>=rows.length;
  head.querySelectorAll('th').forEach(function(th,k){
    if(k===sorted){th.setAttribute('aria-sort',down?'descending':'ascending');}else{th.removeAttribute('aria-sort');}
  });
}
function sort(k){
  down=k===sorted?!down:false;sorted=k;first=0;
  rows.sort(function(a,b){
    var x=a[k],y=b[k];
    if(x===y){return a[0]-b[0];}
    if(x===null){return 1;}
    if(y===null){return -1;}
    return (x<y?-1:1)*(down?-1:1);
  });
  show();
}
var tr=document.createElement('tr');
columns.forEach(function(column,k){
  var th=document.createElement('th');
  th.textContent=column[0];th.tabIndex=0;th.scope='col';
  th.addEventListener('click',function(){sort(k);});
  th.addEventListener('keydown',function(event){if(event.key==='Enter'){sort(k);}});
  tr.appendChild(th);
});
head.appendChild(tr);
back.addEventListener('click',function(){first-=size;show();});
next.addEventListener('click',function(){first+=size;show();});
all.addEventListener('click',function(){first=0;size=rows.length;show();});
var before=[0,size];
window.addEventListener('beforeprint',function(){before=[first,size];first=0;size=rows.length;show();});
window.addEventListener('afterprint',function(){first=before[0];size=before[1];show();});
show();
})();
"""


def document(title: str, body: str, data: Mapping[str, Any], plotly_script: str) -> str:
    """Return the whole page as one HTML text that needs no network.

    Parameters
    ----------
    title, body : str
        Plain text; finished HTML.
    data : mapping
        `figures` by element id, and `trades` with `columns` and `rows`; NaN is refused.
    plotly_script : str
        The source of plotly.js.
    """
    # "</" inside a string would end the script element; JSON allows the escaped slash.
    content = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="color-scheme" content="light dark">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n<body><main>{body}</main>\n"
        f'<script type="application/json" id="page">{content}</script>\n'
        f"<script>{plotly_script}</script>\n<script>{SCRIPT}</script></body></html>\n"
    )


def plain_document(title: str, body: str) -> str:
    """Return a page without any script, in the same style.

    Parameters
    ----------
    title, body : str
        Plain text; finished HTML.
    """
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{STILL_POLICY}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="color-scheme" content="light dark">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n<body><main>{body}</main></body></html>\n"
    )
