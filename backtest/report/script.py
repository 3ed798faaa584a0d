"""What the report does in a browser: draws its charts, keeps prices in view, pages and sorts the trades."""

from __future__ import annotations

from novosky.pages.shell import COLOURS

SCRIPT = (
    """
(function(){
'use strict';
"""
    + COLOURS
    + """
var page=JSON.parse(document.getElementById('page').textContent);
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
)
