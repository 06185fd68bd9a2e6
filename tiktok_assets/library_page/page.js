"use strict";
(() => {
  const $ = (selector) => document.querySelector(selector);
  const data = JSON.parse($("#data").textContent);
  const { columns, statuses, analyzers } = data;
  const count = columns.folder.length;
  const OVERSCAN = 6, MAX_PRINTED = 500;

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }
  function attributes(made, values) {
    for (const [name, value] of Object.entries(values)) made.setAttribute(name, value);
    return made;
  }
  const svg = (name, values) => attributes(document.createElementNS("http://www.w3.org/2000/svg", name), values);

  /* numbers and times as people write them */
  const whole = new Intl.NumberFormat("en").format;
  const grouped = (value) => whole(value).replaceAll(",", "\u202f");
  const percent = (share) => `${Math.round(100 * share)} %`;
  const clock = (seconds) => {
    if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
    const total = Math.round(seconds);
    return `${Math.floor(total / 60)}:${String(total % 60).padStart(2, "0")}`;
  };
  const together = (seconds) => {
    if (seconds < 60) return [String(Math.round(seconds)), "s"];
    const minutes = Math.round(seconds / 60);
    return minutes < 60 ? [String(minutes), "min"] : [`${grouped(Math.floor(minutes / 60))}:${String(minutes % 60).padStart(2, "0")}`, "h"];
  };
  const short = (n) => (n < 1000 ? String(n) : n < 9950 ? `${(n / 1000).toFixed(1)}k` : `${Math.round(n / 1000)}k`);

  /* what can be asked for */
  const has = (name, least = 0) => (i) => columns[name][i] !== null && columns[name][i] > least;
  const FINDINGS = {
    faces: ["Faces", has("people_max")],
    text: ["Text", has("overlay_texts")],
    speech: ["Speech", has("speech_share", 0.05)],
    music: ["Music", has("music_share", 0.05)],
    cta: ["Call to action", has("calls_to_action")],
  };
  const SORTS = {
    title: "title", date: "date", duration: "duration_s", cuts: "cuts_per_minute", faces: "people_max", text: "overlay_texts",
    sound: "speech_share", result: "successful_analyzers", factor: "realtime_factor", uploader: "uploader",
  };
  const state = { words: "", findings: new Set(), results: new Map(), sort: "", descending: false };

  const plain = (text) => (text ?? "").normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  let haystack = null;
  const searched = (i) => {
    haystack ??= columns.folder.map((folder, n) => `${plain(columns.title[n])}\n${plain(columns.uploader[n])}\n${folder}`);
    return haystack[i];
  };

  const ranks = new Map();
  function sortValues(name) {
    const values = columns[name];
    if (!["title", "uploader", "date"].includes(name)) return values;
    if (!ranks.has(name)) {
      const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
      const place = new Map([...new Set(values)].filter((v) => v !== null).sort(collator.compare).map((v, n) => [v, n]));
      ranks.set(name, values.map((v) => place.get(v) ?? null));
    }
    return ranks.get(name);
  }

  /* selecting */
  let order = [];
  function select() {
    const words = plain(state.words).split(/\s+/).filter(Boolean);
    const tests = [...state.findings].map((name) => FINDINGS[name][1]);
    const asked = [...state.results];
    const tally = analyzers.map(() => new Uint32Array(statuses.length));
    const tallied = analyzers.map(() => 0);
    order = [];
    for (let i = 0; i < count; i++) {
      if (words.length && !words.every((w) => searched(i).includes(w))) continue;
      if (!tests.every((test) => test(i))) continue;
      const row = columns.status[i];
      const missed = asked.filter(([a, s]) => row[a] !== s);
      if (!missed.length) order.push(i);
      if (missed.length > 1) continue;
      // The counts of an analyzer leave its own filter aside, so that one can see where else to go.
      for (let a = missed.length ? missed[0][0] : 0, end = missed.length ? a + 1 : analyzers.length; a < end; a++) {
        const s = row.charCodeAt(a) - 48;
        if (s >= 0 && s < statuses.length) { tally[a][s]++; tallied[a]++; }
      }
    }
    if (state.sort) {
      const values = sortValues(SORTS[state.sort]), sign = state.descending ? -1 : 1;
      order.sort((a, b) => {
        const x = values[a], y = values[b];
        if (x === null || y === null) return (x === null) - (y === null) || a - b;
        return sign * (x - y) || a - b;
      });
    }
    return [tally, tallied];
  }

  function refresh(toTop = true) {
    const [tally, tallied] = select();
    showMatrix(tally, tallied);
    showTotals();
    showControls();
    for (const row of live.values()) row.remove();
    live.clear();
    measure();
    $("#table").setAttribute("aria-rowcount", order.length + 1);
    $("#none").hidden = order.length > 0;
    $("#unprinted").textContent = `The first ${MAX_PRINTED} of ${grouped(order.length)} videos are printed.`;
    if (toTop && $("#main").getBoundingClientRect().top < 0) $("#main").scrollIntoView();
    draw();
    remember();
  }

  /* totals */
  function figure(id, text, unit) {
    $(id).replaceChildren(text, ...(unit ? [element("small", {}, ` ${unit}`)] : []));
  }
  function showTotals() {
    const of = (name) => order.map((i) => columns[name][i]).filter((v) => v !== null);
    const sum = (values) => values.reduce((a, b) => a + b, 0);
    const factors = of("realtime_factor").sort((a, b) => a - b);
    const tried = sum(of("total_analyzers"));
    figure("#t-videos", grouped(order.length));
    figure("#t-length", ...together(sum(of("duration_s"))));
    figure("#t-segments", grouped(sum(of("segments"))));
    figure("#t-success", tried ? String(Math.floor((1000 * sum(of("successful_analyzers"))) / tried) / 10) : "–", tried ? "%" : "");
    figure("#t-factor", factors.length ? factors[factors.length >> 1].toFixed(2) : "–", factors.length ? "×" : "");
    $("#count").replaceChildren(
      element("b", {}, grouped(order.length)), order.length === count ? ` video${count === 1 ? "" : "s"}` : ` of ${grouped(count)} videos`,
    );
  }

  /* the matrix: made once, its numbers change */
  const cells = analyzers.map(([title, family], a) => {
    const opens = a > 0 && analyzers[a - 1][1] !== family;
    const row = element("tr", { className: `f-${family}${opens ? " opens" : ""}` });
    row.append(attributes(element("th", { title }, title), { scope: "row" }));
    const made = statuses.map((status, s) => {
      const button = element("button", { type: "button", className: `s-${status}` });
      button.addEventListener("click", () => {
        if (state.results.get(a) === String(s)) state.results.delete(a); else state.results.set(a, String(s));
        refresh();
      });
      const none = element("span", { ariaHidden: "true" }, "·");
      row.append(element("td", {}, button, none));
      return [button, none];
    });
    $("#matrix-rows").append(row);
    return made;
  });
  function showMatrix(tally, tallied) {
    cells.forEach((row, a) => row.forEach(([button, none], s) => {
      const n = tally[a][s], pressed = state.results.get(a) === String(s);
      button.hidden = !n && !pressed;
      none.hidden = !button.hidden;
      button.textContent = short(n);
      button.style.setProperty("--share", tallied[a] ? (n / tallied[a]).toFixed(2) : 0);
      attributes(button, { "aria-pressed": pressed, "aria-label": `${analyzers[a][0]}, ${data.words[statuses[s]]}: ${whole(n)} videos` });
    }));
  }

  /* controls */
  const chips = Object.entries(FINDINGS).map(([name, [title, test]]) => {
    let n = 0;
    for (let i = 0; i < count; i++) if (test(i)) n++;
    const button = element("button", { type: "button" }, title, element("small", {}, short(n)));
    button.addEventListener("click", () => {
      if (!state.findings.delete(name)) state.findings.add(name);
      refresh();
    });
    $("#chips").append(button);
    return [name, button];
  });
  const HEADS = [
    ["thumb", "", ""], ["title", "Video", "title"], ["strip", "", ""], ["date", "Date", "date"], ["duration_s right", "Length", "duration"],
    ["cuts right", "Cuts/min", "cuts"], ["faces right", "Faces", "faces"], ["text right", "Text", "text"], ["sound", "Sound", "sound"],
    ["result right", "Results", "result"], ["factor right", "Speed", "factor"],
  ];
  const NAMES = { title: "title", uploader: "uploader", date: "date", duration: "length", cuts: "cuts per minute", faces: "faces", text: "texts", sound: "share of speech", result: "results", factor: "real-time factor" };
  const TEXTS_FIRST_UP = new Set(["title", "uploader"]);
  function sortBy(name) {
    const first = !TEXTS_FIRST_UP.has(name);
    if (state.sort !== name) { state.sort = name; state.descending = first; }
    else if (state.descending === first) state.descending = !first;
    else state.sort = "";
    refresh();
  }
  for (const [classes, title, sort] of HEADS) {
    const head = attributes(element("div", { className: `c-${classes}` }), { role: "columnheader" });
    if (sort) {
      const button = element("button", { type: "button", title: `Sort by ${NAMES[sort]}` }, title);
      button.addEventListener("click", () => sortBy(sort));
      head.dataset.sort = sort;
      head.append(button);
    } else if (classes === "strip") head.append(...data.lanes.map(([lane, family]) => element("span", { className: `f-${family}` }, lane)));
    else head.append(element("span", { className: "sr" }, "Picture"));
    $("#heads").append(head);
  }
  const sorter = $("#sort");
  sorter.append(new Option("newest report", ""));
  for (const [name, title] of Object.entries(NAMES)) {
    sorter.append(new Option(title, name));
  }
  sorter.addEventListener("change", () => {
    state.sort = sorter.value;
    state.descending = !TEXTS_FIRST_UP.has(state.sort);
    refresh();
  });
  function showControls() {
    for (const [name, button] of chips) button.setAttribute("aria-pressed", state.findings.has(name));
    for (const head of $("#heads").children) {
      if (head.dataset.sort && head.dataset.sort === state.sort) head.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    sorter.value = state.sort;
    const buttons = [...state.results].map(([a, s]) => {
      const text = `${analyzers[a][0]}: ${data.words[statuses[s]]}`;
      const button = attributes(element("button", { type: "button" }, text), { "aria-label": `Remove the filter ${text}` });
      button.addEventListener("click", () => { state.results.delete(a); refresh(); search.focus(); });
      return button;
    });
    if (state.words || state.findings.size || state.results.size) {
      const all = element("button", { type: "button" }, "Clear filters");
      all.addEventListener("click", () => {
        state.words = search.value = "";
        state.findings.clear();
        state.results.clear();
        refresh();
        search.focus();
      });
      buttons.push(all);
    }
    $("#active").replaceChildren(...buttons);
  }
  const search = $("#search");
  search.addEventListener("input", () => { state.words = search.value; refresh(); });

  /* rows: only those in sight are there */
  const rows = $("#rows"), live = new Map();
  let height = 0, isPrinted = false;
  function measure() {
    height = parseFloat(getComputedStyle(document.body).getPropertyValue("--row"));
    rows.style.setProperty("--rows", order.length);
  }
  function draw() {
    const top = rows.getBoundingClientRect().top;
    const first = isPrinted ? 0 : Math.max(0, Math.floor(-top / height) - OVERSCAN);
    const last = Math.min(order.length, isPrinted ? MAX_PRINTED : Math.ceil((innerHeight - top) / height) + OVERSCAN);
    let next = null;
    for (const [place, row] of live) {
      if (place >= first && place < last) continue;
      // A row that has the focus stays, or the focus would be lost.
      if (row.contains(document.activeElement)) { if (place >= last) next = row; continue; }
      row.remove();
      live.delete(place);
    }
    for (let place = last - 1; place >= first; place--) {
      let row = live.get(place);
      if (!row) {
        row = made(order[place], place);
        live.set(place, row);
        rows.insertBefore(row, next);
      }
      next = row;
    }
  }
  const cell = (classes, label, ...children) => {
    const div = attributes(element("div", { className: `c-${classes}` }, ...children), { role: "cell" });
    if (label) div.dataset.label = label;
    return div;
  };
  const known = (value, text) => (value === null ? element("span", { className: "nothing", title: "not known" }, "–") : text);

  function made(i, place) {
    const get = (name) => columns[name][i];
    const row = attributes(element("div", { className: "row" }), { role: "row", "aria-rowindex": place + 2 });
    row.style.setProperty("--place", place);
    row.dataset.place = place;
    const folder = `../videos/${encodeURIComponent(get("folder"))}`;
    const thumb = cell("thumb", "");
    thumb.classList.add("thumb");
    if (get("thumbnail")) thumb.append(element("img", { src: `${folder}/thumbnail.jpg`, alt: "", decoding: "async" }));
    const link = element("a", { href: `${folder}/report.html`, title: get("title") }, element("bdi", {}, get("title")));
    const under = element("div", { className: "under" }, element("bdi", {}, get("uploader") ?? get("folder")));
    const cuts = get("cuts_per_minute"), total = get("total_analyzers"), good = get("successful_analyzers");
    const meter = element("i", { className: good / total < 0.9 ? "meter bad" : "meter" });
    meter.style.setProperty("--share", `${(100 * good) / total}%`);
    const times = get("realtime_factor");
    row.append(
      thumb,
      cell("title", "", link, under),
      cell("strip", "", strip(get("strip"))),
      cell("date", "", known(get("date"), get("date"))),
      cell("duration_s right", "length", known(get("duration_s"), get("duration_s") === null ? "" : clock(get("duration_s")))),
      cell("cuts right", "cuts/min", known(cuts, quiet(cuts))),
      cell("faces right", "faces", known(get("people_max"), quiet(get("people_max")))),
      cell("text right", "texts", known(get("overlay_texts"), quiet(get("overlay_texts")))),
      sound(get("speech_share"), get("music_share")),
      cell("result right", "results", `${good}/${total}`, meter),
      cell("factor right", "speed", known(times, times === null ? "" : times.toFixed(2)), ...(times === null ? [] : [element("span", { className: "unit" }, "×")])),
    );
    return row;
  }
  const quiet = (n) => (n ? String(n) : element("span", { className: "nothing" }, "0"));

  function sound(speech, music) {
    const parts = [["speech", speech], ["music", music]].filter(([, share]) => share !== null && share >= 0.05);
    if (parts.length) return cell("sound", "", ...parts.map(([name, share]) => element("div", {}, element("span", {}, name), percent(share))));
    return cell("sound", "", known(speech, element("span", { className: "nothing" }, "neither")));
  }

  const BITS = [...Array(16).keys()].map((n) => [8, 4, 2, 1].map((bit) => (n & bit ? 1 : 0)));
  function strip(text) {
    const drawn = svg("svg", { class: "strip", viewBox: `0 0 ${data.cells} 35`, preserveAspectRatio: "none", role: "img" });
    const said = [];
    text.split(".").forEach((hex, n) => {
      const [lane, family] = data.lanes[n], y = 9 * n;
      if (hex === "-") {
        drawn.append(svg("path", { class: "unknown", d: `M0 ${y + 3.5}h${data.cells}`, "vector-effect": "non-scaling-stroke" }));
        said.push(`${lane} not known`);
        return;
      }
      const bits = [...hex].flatMap((digit) => BITS[parseInt(digit, 16)]);
      let path = "", from = -1;
      for (let i = 0; i <= bits.length; i++) {
        if (bits[i] && from < 0) from = i;
        if (!bits[i] && from >= 0) { path += `M${from} ${y}h${i - from}v7h${from - i}z`; from = -1; }
      }
      drawn.append(svg("rect", { class: "bed", x: 0, y, width: data.cells, height: 7 }));
      if (path) drawn.append(svg("path", { class: `lane f-${family}`, d: path }));
      said.push(`${lane} in ${percent(bits.filter(Boolean).length / data.cells)} of the time`);
    });
    drawn.setAttribute("aria-label", `When: ${said.join(", ")}`);
    return drawn;
  }

  let asked = false;
  const later = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  };
  window.addEventListener("scroll", later, { passive: true });
  window.addEventListener("resize", () => {
    measure();
    later();
  });
  for (const [event, is] of [["beforeprint", true], ["afterprint", false]]) window.addEventListener(event, () => {
    isPrinted = is;
    $("#unprinted").hidden = order.length <= MAX_PRINTED;
    draw();
  });

  /* keyboard */
  function go(place) {
    const to = Math.min(order.length - 1, Math.max(0, place));
    const at = rows.getBoundingClientRect().top + to * height;
    const room = $(".heads").offsetHeight + 4;
    if (at < room) window.scrollBy(0, at - room);
    else if (at + height > innerHeight) window.scrollBy(0, at + height - innerHeight + 8);
    draw();
    live.get(to)?.querySelector("a").focus({ preventScroll: true });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/" && !event.target.closest("input, select")) { event.preventDefault(); search.focus(); return; }
    if (event.target === search && event.key === "ArrowDown" && order.length) { event.preventDefault(); go(0); return; }
    const row = event.target.closest(".rows .row");
    if (!row) return;
    const place = Number(row.dataset.place), page = Math.max(1, Math.floor(innerHeight / height) - 2);
    const to = { ArrowDown: place + 1, ArrowUp: place - 1, PageDown: place + page, PageUp: place - page, Home: 0, End: order.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(to);
  });

  /* what is asked for stands in the address, so that one can go back to it */
  function remember() {
    const parts = new URLSearchParams();
    if (state.words) parts.set("q", state.words);
    if (state.findings.size) parts.set("with", [...state.findings].join(" "));
    if (state.results.size) parts.set("is", [...state.results].map((pair) => pair.join("-")).join(" "));
    if (state.sort) parts.set("sort", (state.descending ? "-" : "") + state.sort);
    const hash = parts.toString();
    if (hash !== location.hash.slice(1)) history.replaceState(null, "", hash ? `#${hash}` : location.pathname);
  }
  function recall() {
    const parts = new URLSearchParams(location.hash.slice(1));
    state.words = search.value = parts.get("q") ?? "";
    state.findings = new Set((parts.get("with") ?? "").split(" ").filter((name) => Object.hasOwn(FINDINGS, name)));
    const pairs = (parts.get("is") ?? "").split(" ").map((pair) => /^(\d+)-(\d)$/.exec(pair)).filter(Boolean);
    state.results = new Map(pairs.map(([, a, s]) => [Number(a), s]).filter(([a, s]) => a < analyzers.length && s < statuses.length));
    const sort = parts.get("sort") ?? "";
    state.descending = sort.startsWith("-");
    state.sort = Object.hasOwn(SORTS, sort.replace("-", "")) ? sort.replace("-", "") : "";
  }
  if (matchMedia("(max-width: 1180px)").matches) $("#matrix").open = false;
  recall();
  refresh(false);
})();
