// Draws the Bokeh documents that a page carries as JSON, in the page's own colours, and again when those change.
"use strict";

const NARROW = 600; // pixels, below which every time label would run into the next
const WANTED = 3;

function coloured(text) {
  const style = getComputedStyle(document.documentElement);
  // The stand-ins of dashboards/charts.py.
  return text
    .replaceAll("#010203", style.getPropertyValue("--muted").trim())
    .replaceAll("#010204", style.getPropertyValue("--line").trim());
}

function thinned(item, width) {
  if (width >= NARROW) return item;
  const visit = (value) => {
    if (Array.isArray(value)) value.forEach(visit);
    else if (value && typeof value === "object") {
      const attributes = value.attributes;
      if (value.name === "FixedTicker" && attributes && Array.isArray(attributes.ticks)) {
        const every = Math.ceil(attributes.ticks.length / WANTED);
        attributes.ticks = attributes.ticks.filter((_, index) => index % every === 0);
      }
      Object.values(value).forEach(visit);
    }
  };
  visit(item.doc);
  return item;
}

// Bokeh makes its canvas a stop of the keyboard, where there is nothing to do; the table below holds the numbers.
function unstop(root) {
  for (const element of root.querySelectorAll("*")) {
    if (element.tabIndex >= 0) element.tabIndex = -1;
    if (element.shadowRoot) unstop(element.shadowRoot);
  }
}

async function draw(place) {
  const text = document.getElementById(place.dataset.chart).textContent;
  const item = thinned(JSON.parse(coloured(text)), place.clientWidth);
  place.replaceChildren();
  await window.Bokeh.embed.embed_item(item, place.id);
  unstop(place);
  place.dataset.drawn = String(Number(place.dataset.drawn || 0) + 1);
}

function drawAll() {
  for (const place of document.querySelectorAll("[data-chart]")) draw(place);
}

window.Bokeh.logger.set_level("error");
drawAll();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
