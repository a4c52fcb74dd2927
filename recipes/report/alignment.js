// The alignment: what is shown, what is lit, the head of the page, the player and the table.
const { clips, labels, sentences } = data;
const n = clips.length, m = sentences.length;
const words = (text, name = "") => make("span", { class: name, lang: data.language, dir: "auto", text });
const colour = (j) => `var(--s${j % 8})`;
const silent = (j) => sentences[j].spans.length === 0;
const total = Math.max(data.duration, 0.1);

// ---- what is lit (under the pointer or the focus) and what is here (chosen, or playing)
const views = { clip: clips.map(() => []), sentence: sentences.map(() => []) };
const marked = { lit: [], here: [] };
let at = { clip: -1, sentence: -1 };
function register(element, kind, index) {
  element.dataset[kind] = index;
  views[kind][index].push(element);
  return element;
}
function mark(name, { clip = -1, sentence = -1 }) {
  for (const element of marked[name]) element.classList.remove(name);
  marked[name] = [...(views.clip[clip] ?? []), ...(views.sentence[sentence] ?? [])];
  if (name === "lit" && clip < 0 && sentence >= 0) {
    labels.forEach((label, i) => label === sentence && marked[name].push(...views.clip[i]));
  }
  for (const element of marked[name]) element.classList.add(name);
}
function place(element) {
  const owner = element?.closest?.("[data-clip], [data-sentence]");
  if (!owner) return {};
  if (owner.dataset.clip === undefined) return { sentence: Number(owner.dataset.sentence) };
  const clip = Number(owner.dataset.clip);
  return { clip, sentence: labels[clip] };
}
for (const event of ["pointerover", "focusin"]) document.addEventListener(event, (e) => mark("lit", place(e.target)));
document.addEventListener("pointerleave", () => mark("lit", {}));
document.addEventListener("click", (e) => {
  const { clip = -1, sentence = -1 } = place(e.target);
  if (clip >= 0) choose(clip, sentence);
  else if (sentence >= 0) choose(labels.indexOf(sentence), sentence, { reveal: e.target.closest("tr, canvas") !== null });
});

function choose(clip, sentence, { seek = true, reveal = false } = {}) {
  if (clip === at.clip && sentence === at.sentence && !seek) return;
  at = { clip, sentence };
  mark("here", at);
  showNow(clip, sentence);
  paintHeat();
  if (seek && clip >= 0) seekTo(clips[clip][0]);
  if (reveal) show(clip, sentence);
}

// ---- head of the page
function languageName(code) {
  try { return new Intl.DisplayNames(["en"], { type: "language" }).of(code); } catch { return code || "not stated"; }
}
function drawHead() {
  $("name").textContent = data.video;
  const shown = sentences.filter((_, j) => !silent(j)).length;
  $("facts").append(
    fact("Duration", clock(data.duration)), fact("Clips", `${n}`), fact("Sentences", `${m}`),
    fact("Time matched", `${Math.round(100 * data.matched)} %`), fact("Sentences with a picture", `${shown} of ${m}`),
    fact("Language", languageName(data.language)), fact("Model", data.model),
    ...(data.within === null ? [] : [fact("Told within", `${data.within} s`)]),
    ...(data.band === null ? [] : [fact("Off an even pace", `at most ${data.band} sentences`)]),
  );
  $("doubt").hidden = !data.doubt;
  $("doubt").textContent = `Note: ${data.doubt}.`;
  $("count").textContent = `${shown} with a picture, ${m - shown} without; ${labels.filter((l) => l < 0).length} of ${n} clips show none of them`;
  const entries = [["matched", "Clip with its sentence"], ["dropped", "Clip without a sentence"], ["silent", "Sentence without a picture"]];
  $("notes").hidden = data.notes.length === 0;
  $("notes").textContent = `Note: ${data.notes.join("; ")}.`;
  $("legend").append(...entries.map(([name, text]) => make("li", {}, [make("i", { class: name }), text])));
}
function showNow(clip, sentence) {
  const box = $("now");
  box.style.setProperty("border-color", sentence >= 0 && !silent(sentence) ? colour(sentence) : "var(--line)");
  const where = clip >= 0 ? `Clip ${clip + 1} · ${span(clips[clip])}` : "No clip";
  const score = clip >= 0 && sentence >= 0 ? ` · similarity ${signed(similarity(clip, sentence))}` : "";
  const line = make("p", { class: "words" + (sentence < 0 ? " empty" : "") });
  if (sentence >= 0) line.append(words(sentences[sentence].text));
  else line.textContent = "No sentence describes this clip.";
  box.replaceChildren(make("span", { class: "hint", text: where + score }), line);
  if (clip >= 0 && data.pictures.length) $("still").src = player.poster = data.pictures[clip];
}

// ---- the player, where the video lies beside the page
const player = $("player");
const heads = [];
function openPlayer() {
  if (!data.source) return;
  player.addEventListener("loadedmetadata", () => { player.hidden = false; $("still").hidden = true; });
  player.addEventListener("error", () => { player.hidden = true; $("still").hidden = false; });
  player.addEventListener("timeupdate", follow);
  player.addEventListener("seeked", follow);
  player.src = data.source;
}
function seekTo(time) {
  moveHead(time);
  if (!player.hidden) player.currentTime = time + 0.01;
}
function moveHead(time) {
  for (const head of heads) head.style.setProperty("left", `${100 * time / total}%`);
}
function clipAt(time) {
  let low = 0, high = n;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (clips[middle][1] > time) high = middle; else low = middle + 1;
  }
  return low < n && clips[low][0] <= time ? low : -1;
}
function follow() {
  const time = player.currentTime, clip = clipAt(time);
  moveHead(time);
  if (clip >= 0 && clip !== at.clip) choose(clip, labels[clip], { seek: false, reveal: !player.paused });
}

// ---- the table
function drawTable() {
  const names = ["#", "Sentence", "On screen", ...(data.annotated ? ["Annotated"] : []), "Score"];
  const head = make("thead", {}, [make("tr", {}, names.map((name) => make("th", { scope: "col", text: name, class: name === "Score" ? "number" : "" })))]);
  const scores = sentences.flatMap(({ score }) => score === null ? [] : [score]), best = Math.max(...scores, 1e-6);
  const rows = sentences.map((sentence, j) => {
    const chip = make("button", { type: "button", class: silent(j) ? "chip silent" : "chip", text: j + 1, "aria-label": `Show sentence ${j + 1}` });
    const on = make("td", { class: "number" }, silent(j) ? [make("span", { class: "nothing", text: "no picture" })] : sentence.spans.map((run) => make("div", { text: span(run) })));
    const score = make("td", { class: "number" });
    if (sentence.score !== null) {
      const share = clamp(sentence.score / best, 0, 1);
      score.append(make("span", { class: "score" }, [make("i", { css: { width: `${100 * share}%` } })]), signed(sentence.score));
    }
    const truth = data.annotated ? [make("td", { class: "number", text: sentence.truth ? span(sentence.truth) : "none" })] : [];
    const row = make("tr", {}, [make("td", {}, [chip]), make("td", {}, [words(sentence.text)]), on, ...truth, score]);
    row.style.setProperty("--own", silent(j) ? "var(--faint)" : colour(j));
    return register(row, "sentence", j);
  });
  $("table").append(head, make("tbody", {}, rows));
}
