
"use strict";
// Labels frames. The package is in the page, the labels are in the browser's memory until they are saved
// as labels.csv; a copy in localStorage survives a closed window. Nothing is fetched or sent.

const {id, labels, frames} = JSON.parse(document.getElementById("package").textContent);
const $ = (name) => document.getElementById(name);
const make = (tag, text, kind) => {
  const element = document.createElement(tag);
  element.textContent = text;
  if (kind) element.className = kind;
  return element;
};

const given = new Map(frames.filter((frame) => frame.label).map((frame) => [frame.path, {label: frame.label, at: ""}]));
const history = []; // {path, before}: what undo puts back
let shown = frames;
let current = frames[0];
let saved = true;

// --- what was labelled ---------------------------------------------------------------------------------

const STORE = `edge-inspect labels ${id}`;
try {
  for (const [path, entry] of JSON.parse(localStorage.getItem(STORE) ?? "[]")) {
    if (frames.some((frame) => frame.path === path)) {
      given.set(path, entry);
      saved = false;
    }
  }
} catch { /* a browser without storage labels all the same */ }

function set(frame, entry) {
  if (entry) given.set(frame.path, entry);
  else given.delete(frame.path);
  saved = false;
  try { localStorage.setItem(STORE, JSON.stringify([...given])); } catch { /* likewise */ }
  dress(frame);
  progress();
}

function label(name) {
  if (!current || !shown.includes(current)) return;
  history.push({frame: current, before: given.get(current.path)});
  set(current, {label: name, at: new Date().toISOString()});
  say(`${current.part}: ${name}`);
  const after = [...shown.slice(shown.indexOf(current) + 1), ...shown];
  show(after.find((frame) => !given.has(frame.path)) ?? after[0]);
}

function undo() {
  const last = history.pop();
  if (!last) return;
  set(last.frame, last.before);
  if (!shown.includes(last.frame)) list();
  show(last.frame);
  say(`${last.frame.part}: undone`);
}

function save() {
  const cell = (text) => `"${text.replaceAll('"', '""')}"`;
  const rows = frames.filter((frame) => given.has(frame.path)).map((frame) => {
    const entry = given.get(frame.path);
    return [frame.path, entry.label, entry.at].map(cell).join(",");
  });
  const link = make("a", "");
  link.href = URL.createObjectURL(new Blob([["path,label,labelled_at", ...rows, ""].join("\n")], {type: "text/csv"}));
  link.download = "labels.csv";
  link.click();
  URL.revokeObjectURL(link.href);
  saved = true;
  progress();
  say(`${rows.length} labels saved`);
}

// --- what is seen --------------------------------------------------------------------------------------

function show(frame) {
  current = frame;
  for (const button of $("strip").querySelectorAll("[aria-current]")) button.removeAttribute("aria-current");
  if (!frame) return;
  $("place").replaceChildren(picture(frame.picture, `Part ${frame.part}, ${frame.said}`));
  $("heat-key").hidden = !frame.heat;
  $("said").textContent = frame.said;
  $("why").textContent = `Kept as ${frame.reasons.join(", ").replaceAll("_", " ")}.`;
  const original = make("a", "the frame as it came");
  original.href = frame.path;
  original.target = "_blank";
  $("caption").replaceChildren(`Part ${frame.part}, ${shown.indexOf(frame) + 1} of ${shown.length}: `, original);
  $("facts").replaceChildren(...frame.facts.flatMap(([name, value]) => [make("dt", name), make("dd", value)]));
  const chosen = given.get(frame.path)?.label;
  for (const button of $("labels").children) {
    button.setAttribute("aria-pressed", button.dataset.label === chosen);
    const score = frame.scores[button.dataset.label];
    button.lastChild.textContent = score === undefined ? "" : score.toFixed(2);
  }
  const place = placeOf(frame);
  place?.setAttribute("aria-current", "true");
  // The strip alone: the frame and the labels stay where they are.
  if (place) $("strip").scrollTop = place.parentElement.offsetTop - $("strip").clientHeight / 3;
}

function list() {
  const reason = $("reason").value;
  shown = frames.filter((frame) => (!reason || frame.reasons.includes(reason))
    && !($("open").checked && given.has(frame.path)));
  $("strip").replaceChildren(...shown.map((frame) => {
    const place = make("button", "");
    place.type = "button";
    place.append(picture(frame.picture, ""), make("span", frame.said), make("span", "", "given"));
    place.addEventListener("click", () => show(frame));
    const item = make("li", "");
    item.dataset.path = frame.path;
    item.append(place);
    return item;
  }));
  shown.forEach(dress);
  $("none").hidden = shown.length > 0;
  show(shown.includes(current) ? current : shown[0]);
}

function picture(address, alt, kind = "") {
  const element = make("img", "", kind);
  Object.assign(element, {alt, loading: "lazy", src: address});
  return element;
}

function lookWhere() {
  const over = $("place").querySelector(".heat");
  if (over) over.remove();
  else $("place").append(picture(current.heat, "Where the model looked", "heat"));
}

function placeOf(frame) {
  return [...$("strip").children].find((item) => item.dataset.path === frame.path)?.firstChild;
}

function dress(frame) {
  const words = placeOf(frame)?.querySelector(".given");
  if (!words) return;
  const name = given.get(frame.path)?.label;
  words.textContent = name ? `✓ ${name}` : "";
  words.classList.toggle("other", name !== frame.predicted);
}

function progress() {
  $("bar").max = frames.length;
  $("bar").value = given.size;
  $("done").textContent = `${given.size} of ${frames.length} labelled${saved ? "" : ", not saved"}`;
  $("undo").disabled = !history.length;
  $("save").disabled = !given.size;
}

const say = (words) => { $("spoken").textContent = words; };

// --- hands ---------------------------------------------------------------------------------------------

labels.forEach((name, number) => {
  const choice = make("button", "");
  choice.type = "button";
  choice.dataset.label = name;
  choice.append(make("kbd", number < 9 ? String(number + 1) : ""), name, make("span", "", "share"));
  choice.addEventListener("click", () => label(name));
  $("labels").append(choice);
});
$("reason").append(new Option("any reason", ""));
for (const reason of new Set(frames.flatMap((frame) => frame.reasons))) {
  const count = frames.filter((frame) => frame.reasons.includes(reason)).length;
  $("reason").append(new Option(`${reason.replaceAll("_", " ")} (${count})`, reason));
}
$("reason").addEventListener("change", list);
$("open").addEventListener("change", list);
$("undo").addEventListener("click", undo);
$("save").addEventListener("click", save);

addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase();
  if (key === "z" && (event.ctrlKey || event.metaKey)) {
    undo();
  } else if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) {
    return;
  } else if (/^[1-9]$/.test(key) && labels[key - 1]) {
    label(labels[key - 1]);
  } else if (key === "arrowleft" || key === "arrowright") {
    const place = shown.indexOf(current) + (key === "arrowleft" ? -1 : 1);
    if (shown[place]) show(shown[place]);
  } else if (key === "h" && current?.heat) {
    lookWhere();
  } else if (key === "u") {
    undo();
  } else if (key === "s" && given.size) {
    save();
  } else {
    return;
  }
  event.preventDefault();
});
addEventListener("beforeunload", (event) => { if (!saved) event.preventDefault(); });

list();
show(frames.find((frame) => !given.has(frame.path)) ?? frames[0]);
progress();
