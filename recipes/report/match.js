// The match: candidates and their places, the clip with what each would say, and the alignment of the chosen one.
const { candidates, duration } = data;
const player = $("player");
let chosen = 0, sound = data.sound ? "original" : "none";
const colour = (k) => `var(--s${k % 8})`;
const own = () => candidates[chosen];
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const address = (text, type) => URL.createObjectURL(new Blob([bytes(text)], { type }));
const heard = candidates.map(({ speech }) => speech && make("audio", { src: address(speech, "audio/mp4"), preload: "auto" }));
candidates.forEach((each) => { each.cells = bytes(each.similarity); each.n = each.labels.length; each.m = each.textTimes.length; });

// ---- head of the page
function drawHead() {
  $("kind").textContent = data.kind;
  $("name").textContent = data.video;
  $("origin").textContent = data.origin;
  const weights = Object.entries(data.weights).map(([name, weight]) => `${name} ${weight}`).join(", ");
  const lost = data.loss === null ? "" : `, which loses ${Math.round(100 * data.loss)} % of own subtitles on validation clips`;
  $("facts").append(
    fact("Clip", `${clock(data.start, true)} – ${clock(data.end, true)}`), fact("Pool", `${data.subtitles} subtitles`),
    ...(data.aligned < data.subtitles ? [fact("Aligned", `the best ${data.aligned} by global cues${lost}`)] : []),
    fact("Weights", weights), fact("Model", data.model),
  );
  $("doubt").hidden = !data.doubt;
  $("doubt").textContent = `Note: ${data.doubt}.`;
  $("notes").hidden = !data.notes.length;
  $("notes").textContent = data.notes.map((note) => `Note: ${note}.`).join(" ");
}

// ---- candidates
function drawRanks() {
  const cues = Object.keys(candidates[0].ranks).filter((cue) => cue !== "fusion");
  const head = make("tr", {}, [make("th", { text: "#" }), make("th", { text: "Subtitle" }), ...cues.map((cue) => make("th", { class: "number", text: cue }))]);
  const rows = candidates.map((each, k) => {
    const id = make("div", { class: "id", text: each.id });
    if (each.role) id.append(make("span", { class: "role", text: each.role }));
    const text = make("div", { class: "text", lang: each.language, dir: "auto", text: each.sentences.map((one) => one.text).join(" ") });
    const cells = cues.map((cue) => make("td", { class: "number", text: `${each.ranks[cue]}`, title: `cost ${each.costs[cue].toFixed(4)}` }));
    const row = make("tr", { tabindex: "0" }, [make("td", { text: `${each.ranks.fusion}`, title: `cost ${each.costs.fusion.toFixed(4)}` }), make("td", {}, [text, id]), ...cells]);
    row.addEventListener("click", () => choose(k));
    row.addEventListener("keydown", (e) => { if (e.key === "Enter") choose(k); });
    return row;
  });
  $("ranks").append(make("thead", {}, [head]), make("tbody", {}, rows));
}
function choose(k) {
  chosen = k;
  [...$("ranks").tBodies[0].rows].forEach((row, at) => row.setAttribute("aria-selected", at === k));
  if (sound === "speech" && !heard[k]) sound = data.sound ? "original" : "none";
  drawSounds();
  drawSentences();
  drawMatrix();
  follow();
}

// ---- playback: the picture leads, and the speech of the chosen subtitle keeps step with it
function drawSounds() {
  const kinds = [["original", "Original", data.sound], ["speech", "The subtitle's speech", heard[chosen] !== null], ["none", "Off", true]];
  $("sounds").replaceChildren(...kinds.map(([kind, text, there]) => {
    const button = make("button", { type: "button", text, "aria-pressed": kind === sound });
    button.disabled = !there;
    button.addEventListener("click", () => { sound = kind; drawSounds(); });
    return button;
  }));
  player.muted = sound !== "original";
  heard.forEach((each, k) => each && (sound !== "speech" || k !== chosen) && each.pause());
  step();
}
function step() {
  const speech = sound === "speech" ? heard[chosen] : null;
  if (!speech) return;
  if (Math.abs(speech.currentTime - player.currentTime) > 0.12) speech.currentTime = player.currentTime;
  speech.playbackRate = player.playbackRate;
  if (player.paused === speech.paused) return;
  if (player.paused) speech.pause();
  else speech.play().catch(() => {});
}
function openPlayer() {
  player.src = address(data.clip, "video/mp4");
  player.muted = sound !== "original";
  for (const event of ["play", "pause", "seeked", "ratechange", "timeupdate"]) player.addEventListener(event, () => { step(); follow(); });
  const frame = () => { if (!player.paused) follow(); requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}
function seek(time) {
  player.currentTime = clamp(time, 0, duration);
  follow(clamp(time, 0, duration));
}

// ---- sentences: their places in the clip, and the one that is said now, word by word
function drawSentences() {
  const share = (time) => `${100 * clamp(time / duration, 0, 1)}%`;
  const bar = (tag, start, end, options = {}) => make(tag, { ...options, css: { left: share(start), width: share(end - start), ...options.css } });
  $("strip").replaceChildren(
    ...own().sentences.map((one, k) => bar("span", one.start, one.end, { text: `${k + 1}`, css: { "--own": colour(k) } })),
    ...data.speaking.map(([start, end]) => bar("i", start, end)), make("div", { class: "head", id: "head" }),
  );
  $("sentences").replaceChildren(...own().sentences.map((one, k) => {
    const item = make("li", { css: { "--own": colour(k) } }, [
      make("span", { class: "number", text: `${k + 1}` }), make("span", { class: "when", text: span([one.start, one.end]) }),
      make("span", { class: "rate", text: `× ${one.rate.toFixed(2)}`, title: "how much faster than it was spoken" }),
      make("span", { class: "text", lang: own().language, dir: "auto", text: one.text }),
    ]);
    item.addEventListener("click", () => seek(one.start));
    return item;
  }));
  $("text-hint").textContent = "grey below: where the face speaks";
}
function follow(time = player.currentTime) {
  const head = $("head");
  if (head) head.style.setProperty("left", `${100 * clamp(time / duration, 0, 1)}%`);
  const k = own().sentences.findIndex((one) => time >= one.start && time < one.end);
  [...$("sentences").children].forEach((item, at) => item.classList.toggle("here", at === k));
  const line = $("line");
  if (k < 0) line.replaceChildren(make("span", { class: "faint", text: "…" }));
  else {
    const words = own().sentences[k].words;
    const parts = words.length ? words : [[own().sentences[k].text, own().sentences[k].start, own().sentences[k].end]];
    const said = parts.map(([text, start, end]) => make(time >= start && time < end ? "b" : "span", { class: time < start ? "faint" : "", text: `${text} ` }));
    line.replaceChildren(make("span", { lang: own().language, dir: "auto" }, said));
  }
  paintMatrix(time);
}
