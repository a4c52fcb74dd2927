// What every page uses.  Every text enters the page as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);
function make(tag, options = {}, children = []) {
  const element = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  const { css = {}, text, ...attributes } = options;
  if (text !== undefined) element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  for (const [key, value] of Object.entries(css)) element.style.setProperty(key, value);
  element.append(...children);
  return element;
}
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const two = (value) => String(value).padStart(2, "0");
function clock(seconds, tenths = false) {
  const units = Math.round(seconds * 10);
  const whole = Math.floor(units / 10), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const head = hours ? `${hours}:${two(minutes)}` : String(minutes);
  return `${head}:${two(whole % 60)}${tenths ? `.${units % 10}` : ""}`;
}
const span = ([start, end]) => `${clock(start, true)} – ${clock(end, true)}`;
const signed = (value) => value.toFixed(2).replace("-", "−");
function fact(name, value) {
  return make("div", {}, [make("dt", { text: name }), make("dd", { text: value })]);
}
