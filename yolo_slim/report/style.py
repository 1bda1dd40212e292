"""How the page looks, and the few lines of script that draw its plots."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ground: #f4f6f8; --ink: #1b2430; --quiet: #5d6878; --line: #d8dee6;
  --accent: #c4571a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161c; --ground: #1b2129; --ink: #e6eaf0; --quiet: #9aa6b6; --line: #323b47;
    --accent: #f09a5e;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 72rem;
  background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .75rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; overflow-wrap: anywhere; }
p { max-width: 46rem; margin: .5rem 0; }
.summary { font-size: 1.1rem; color: var(--quiet); }
.quiet { color: var(--quiet); font-size: .875rem; }
.cards {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .75rem;
  margin: 1.5rem 0 0;
}
.card { background: var(--ground); border-radius: .5rem; padding: .75rem 1rem; }
.card dt { color: var(--quiet); font-size: .8125rem; }
.card dd { margin: 0; }
.card .change { font-size: 1.6rem; font-weight: 600; line-height: 1.3; }
.card small { font-size: .875rem; font-weight: 400; }
.card .from { color: var(--quiet); font-size: .8125rem; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
.steps { width: 100%; }
th, td { padding: .45rem .7rem; text-align: right; vertical-align: top; white-space: nowrap; }
thead th { border-bottom: 2px solid var(--ink); font-weight: 600; vertical-align: bottom; }
tbody tr { border-bottom: 1px solid var(--line); }
tbody tr:last-child { border-bottom: 2px solid var(--ink); }
th.text, td.text { text-align: left; white-space: normal; overflow-wrap: break-word; }
tbody th { font-weight: 600; }
td .against { display: block; color: var(--quiet); font-size: .8125rem; }
td .verb, th .verb { display: block; color: var(--quiet); font-size: .8125rem; font-weight: 400; }
details { margin: .75rem 0; }
summary { cursor: pointer; color: var(--accent); }
pre {
  background: var(--ground); border-radius: .5rem; padding: .9rem 1rem; overflow-x: auto;
  font: .8125rem/1.5 ui-monospace, "SF Mono", Consolas, monospace; margin: .5rem 0;
}
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.25rem; margin: 0; }
.facts dt { color: var(--quiet); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
.pair { gap: 0 1.5rem; }
.pair > * { min-width: 0; }
figure { margin: 0 0 1.25rem; }
figure img { display: block; width: 100%; height: auto; border-radius: .35rem; }
figcaption { color: var(--quiet); font-size: .875rem; margin-top: .35rem; }
.plot { height: 22rem; width: 100%; }
li { max-width: 46rem; }
@media (max-width: 40rem) {
  body { padding: 1.25rem .9rem 3rem; }
  h1 { font-size: 1.5rem; }
  .cards { grid-template-columns: 1fr 1fr; }
  .steps th.text:first-child {
    position: sticky; left: 0; min-width: 8.5rem; padding-left: 0; background: var(--paper);
  }
}
@media print {
  :root {
    color-scheme: light; --paper: #ffffff; --ground: #f4f6f8; --ink: #1b2430;
    --quiet: #5d6878; --line: #d8dee6; --accent: #c4571a;
  }
  body { max-width: none; padding: 0; font-size: 11px; }
  th, td { padding: .3rem .45rem; }
  figure, tr, .card, .plot, .facts { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .pictures { grid-template-columns: 1fr 1fr; }
  .screen { display: none; }
}
"""

SCRIPT = """
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const light = { ink: "#1b2430", line: "#d8dee6" };
  const night = { ink: "#e6eaf0", line: "#323b47" };
  const config = {
    displaylogo: false, responsive: true,
    // On a touch screen the tools would lie on the legend for good.
    displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  };
  function draw(theme) {
    figures.forEach((figure, number) => {
      const axis = { gridcolor: theme.line, linecolor: theme.line, zerolinecolor: theme.line };
      const layout = {
        ...figure.layout,
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
        modebar: { bgcolor: "rgba(0,0,0,0)" },
        font: { color: theme.ink, size: 13, family: "system-ui, sans-serif" },
        xaxis: { ...figure.layout.xaxis, ...axis }, yaxis: { ...figure.layout.yaxis, ...axis },
      };
      Plotly.react("plot-" + number, figure.data, layout, config);
    });
  }
  const redraw = () => draw(dark.matches ? night : light);
  dark.addEventListener("change", redraw);
  addEventListener("beforeprint", () => draw(light));
  addEventListener("afterprint", redraw);
  redraw();
})();
"""
