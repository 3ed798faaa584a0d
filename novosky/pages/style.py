"""The look of every page: palette for light and dark, layout on screen and on paper."""

from __future__ import annotations

STYLE = """
:root{--ground:#f6f7f9;--card:#fff;--text:#1b222c;--muted:#5b6675;--faint:#a0a9b6;--line:#e3e7ec;--accent:#2563c9;
--gain:#0b8a6a;--loss:#c93a3a;--gain-soft:#0b8a6a26;--loss-soft:#c93a3a2b;--warn:#8a5a00;--warn-soft:#fff4d6;--range:#5b667529;--ensemble:#1b222c;--rf:#0b8a6a;--xgb:#2563c9;--lgb:#b7791f;
--stable:#0b8a6a;--moderate:#b7791f;--large:#c93a3a}
@media(prefers-color-scheme:dark){:root{--ground:#101419;--card:#181e25;--text:#e4e9ef;--muted:#98a4b3;--faint:#667282;
--line:#2a323c;--accent:#6ea8ff;--gain:#35c49b;--loss:#f07167;--gain-soft:#35c49b2e;--loss-soft:#f0716733;--warn:#ffcf6b;
--warn-soft:#33290f;--range:#98a4b333;--ensemble:#e4e9ef;--rf:#35c49b;--xgb:#6ea8ff;
--lgb:#e0b050;--stable:#35c49b;--moderate:#e0b050;--large:#f07167}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1240px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:26px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:17px;margin:0 0 12px}
h3{font-size:13px;margin:0 0 8px;color:var(--muted);font-weight:600}
p{margin:0 0 10px}.sub,.muted,.note{color:var(--muted)}.note{font-size:13px;margin:10px 0 0}
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
