"use strict";
(() => {
  const $ = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const data = JSON.parse($("#data").textContent);
  const player = $("#player"), lanes = $("#lanes"), playhead = $(".playhead"), position = $("#position"), tip = $("#tip");
  const duration = data.duration_s;
  if (!duration) return;

  const laneOf = (element) => element.closest(".lane");
  const analyzerOf = (lane) => lane.querySelector(".lane-name a").hash.slice(3);
  const familyOf = (element) => element.className.match(/\bf-[a-z]+/)[0];
  const timed = (element) => ({ element, start: Number(element.dataset.s), end: Number(element.dataset.e) });
  const segments = all(".seg").map((element) => ({
    ...timed(element),
    lane: laneOf(element).dataset.name,
    family: familyOf(laneOf(element)),
    text: element.textContent.trim() || element.getAttribute("aria-label").split(",")[0],
    analyzer: analyzerOf(laneOf(element)),
    thing: element.dataset.thing ? Number(element.dataset.thing) : null,
    box: element.dataset.box && element.dataset.box.split(" ").map(Number),
  }));
  const titles = new Map(all(".lane[data-name]").map((lane) => [analyzerOf(lane), lane.dataset.name]));
  const lines = all("#texts > li").map(timed);
  const playable = () => player && player.readyState > 0 && !player.error;
  let now = 0, shown = "";

  const clock = (seconds) => {
    if (duration < 60) return seconds.toFixed(2);
    const minutes = Math.floor(seconds / 60);
    return `${minutes}:${(seconds - 60 * minutes).toFixed(2).padStart(5, "0")}`;
  };
  // An event without length counts as there for a moment, or nobody would see it pass.
  const isOn = (s) => now >= s.start - 1e-3 && now < Math.max(s.end, s.start + 0.12);

  function show(seconds) {
    now = Math.min(duration, Math.max(0, seconds));
    playhead.style.setProperty("--at", now / duration); // on the lanes it would make all of them be styled anew
    position.value = now;
    position.setAttribute("aria-valuetext", `${clock(now)} of ${clock(duration)}`);
    $("#clock").textContent = clock(now);
    const on = segments.filter(isOn);
    const key = on.map((s) => segments.indexOf(s)).join();
    drawOverlay(on);
    if (key === shown) return;
    shown = key;
    for (const s of segments) s.element.classList.toggle("on", on.includes(s));
    for (const line of lines) line.element.classList.toggle("on", isOn(line));
    follow();
    $("#now").replaceChildren(...(on.length ? rows(on) : [element("li", { className: "quiet" }, "Nothing was found here.")]));
  }

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function rows(on) {
    const byLane = new Map();
    for (const s of on) byLane.set(s.lane, [...(byLane.get(s.lane) ?? []), s]);
    return [...byLane].map(([lane, found]) => {
      const words = [...new Set(found.map((s) => s.text))];
      const text = words.slice(0, 4).join(", ") + (words.length > 4 ? " …" : "");
      const often = found.length > 1 && words.length === 1 ? ` × ${found.length}` : "";
      return element("li", { className: found[0].family }, element("span", {}, lane), element("b", { dir: "auto" }, text + often));
    });
  }

  // Scrolls the list itself and never the page.
  function follow() {
    const line = lines.findLast(isOn);
    const list = $("#texts");
    if (!line || list.matches(":hover") || list.contains(document.activeElement)) return;
    const top = line.element.offsetTop;
    if (top < list.scrollTop || top + line.element.offsetHeight > list.scrollTop + list.clientHeight)
      list.scrollTop = top - list.clientHeight / 3;
  }

  function seek(seconds) {
    const to = Math.min(duration, Math.max(0, seconds));
    if (playable()) player.currentTime = Math.min(to, player.duration || to);
    show(to);
  }

  /* player */
  if (player) {
    const frame = () => {
      show(player.currentTime);
      if (!player.paused && !player.ended) requestAnimationFrame(frame);
    };
    player.addEventListener("play", frame);
    for (const event of ["seeked", "timeupdate"]) player.addEventListener(event, () => player.paused && show(player.currentTime));
    player.addEventListener("loadedmetadata", () => now && (player.currentTime = now));
    const refuse = () => { $("#unplayable").hidden = false; };
    player.addEventListener("error", refuse);
    if (player.error) refuse();
    const said = lines.filter(({ element }) => element.querySelector(".kind").textContent === "said");
    if (said.length) {
      const captions = player.addTextTrack("captions", "What was said");
      for (const { element, start, end } of said) {
        const plain = element.querySelector(".words").textContent.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
        captions.addCue(new VTTCue(start, Math.max(end, start + 0.12), plain));
      }
    }
  }

  /* timeline: pointer */
  const secondsAt = (track, x) => {
    const field = track.getBoundingClientRect();
    return (duration * (x - field.left)) / field.width;
  };
  let dragged = null;
  lanes.addEventListener("pointerdown", (event) => {
    const track = event.target.closest(".track");
    if (!track || event.button || event.target.closest("button, input, a")) return;
    dragged = track;
    seek(secondsAt(track, event.clientX));
  });
  window.addEventListener("pointermove", (event) => dragged && event.pointerType === "mouse" && seek(secondsAt(dragged, event.clientX)));
  for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => { dragged = null; });
  position.addEventListener("input", () => seek(Number(position.value)));
  document.addEventListener("click", (event) => {
    const target = event.target.closest("button[data-s]");
    if (target) seek(Number(target.dataset.s));
  });

  /* timeline: what and how sure */
  function tell(target) {
    const [what, when, sure, more] = tip.children;
    const share = /^(\d+) %/.exec(target.dataset.sure);
    tip.className = `tip ${familyOf(laneOf(target))}`;
    what.textContent = target.textContent.trim() || target.getAttribute("aria-label").split(",")[0];
    when.textContent = `${laneOf(target).dataset.name} · ${target.dataset.when}`;
    sure.firstElementChild.hidden = !share;
    sure.firstElementChild.style.setProperty("--sure", share ? `${share[1]}%` : "0");
    sure.lastElementChild.textContent = target.dataset.sure;
    more.textContent = target.dataset.more ?? "";
    more.hidden = !target.dataset.more;
    tip.hidden = false;
    const bar = target.getBoundingClientRect(), field = target.parentElement.getBoundingClientRect();
    const left = Math.min(Math.max(bar.left, field.left, 8), innerWidth - tip.offsetWidth - 8);
    const above = bar.bottom + 8 + tip.offsetHeight > innerHeight;
    tip.style.transform = `translate(${left}px, ${above ? bar.top - tip.offsetHeight - 8 : bar.bottom + 8}px)`;
  }
  const hush = () => { tip.hidden = true; };
  for (const name of ["pointerover", "focusin"]) lanes.addEventListener(name, (event) => {
    const target = event.target.closest(".seg");
    if (target) tell(target); else hush();
  });
  for (const name of ["pointerleave", "focusout"]) lanes.addEventListener(name, hush);
  window.addEventListener("scroll", hush, { passive: true });

  /* keyboard: one tab stop for the timeline, arrows inside it */
  const stops = all(".film .track, .lane:not(.film) > .track:not(.curve-track)").map((t) => [...t.querySelectorAll("button")]).filter((t) => t.length);
  if (stops.length) stops[0][0].tabIndex = 0;
  const middle = (button) => { const r = button.getBoundingClientRect(); return r.left + Math.min(r.width, 40) / 2; };
  function move(from, key) {
    const lane = stops.findIndex((buttons) => buttons.includes(from)), at = stops[lane].indexOf(from);
    if (key === "ArrowLeft") return stops[lane][at - 1];
    if (key === "ArrowRight") return stops[lane][at + 1];
    if (key === "Home") return stops[lane][0];
    if (key === "End") return stops[lane].at(-1);
    const next = stops[lane + (key === "ArrowDown" ? 1 : -1)];
    return next && next.reduce((a, b) => (Math.abs(middle(b) - middle(from)) < Math.abs(middle(a) - middle(from)) ? b : a));
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") return hush();
    const target = event.target;
    const inTimeline = stops.some((buttons) => buttons.includes(target));
    if (inTimeline && /^(Arrow|Home|End)/.test(event.key)) {
      event.preventDefault();
      const next = move(target, event.key);
      if (next) { target.tabIndex = -1; next.tabIndex = 0; next.focus(); }
      return;
    }
    if (target.closest("button, input, summary, a, video[controls], [tabindex='0']:not(video)")) return;
    const fps = data.fps || 30;
    const step = { ArrowLeft: -1, ArrowRight: 1, ",": -1 / fps, ".": 1 / fps }[event.key];
    if (step) { event.preventDefault(); seek(now + step); }
    else if (event.key === " " && playable()) {
      event.preventDefault();
      if (player.paused) player.play().catch(() => {}); // refused where it is paused again at once
      else player.pause();
    }
  });

  /* faces, poses, hands, objects and texts over the picture */
  const { series, still, cuts, chains, words } = data.overlay;
  // Between two pictures that were looked at things move evenly; beside a single one they are drawn for half a step.
  const MIX_MS = 600, REACH_MS = 140, GAZE_LENGTH = 0.7, EYE_HEIGHT = 0.36, LABEL_GAP_PX = 2;
  const NOUNS = { faces: "face", poses: "person", hands: "hand" };
  const stage = $(".stage"), surface = $("#overlay"), switches = all("#draw button"), kinds = new Map(), labels = [];
  for (const moving of series) {
    moving.things = new Map();
    for (const row of moving.rows) {
      if (!moving.things.has(row[1])) moving.things.set(row[1], []);
      moving.things.get(row[1]).push(row);
    }
  }
  for (const button of switches) {
    const group = document.createElementNS("http://www.w3.org/2000/svg", "g");
    group.setAttribute("class", `k-${button.dataset.kind}`);
    const paths = ["halo", "line", "halo dots", "line dots"].map((name) => {
      const path = document.createElementNS(group.namespaceURI, "path");
      path.setAttribute("class", name);
      return path;
    });
    group.append(...paths);
    surface.firstElementChild.prepend(group); // the first kinds lie on top
    kinds.set(button.dataset.kind, { paths, isOn: false });
    button.addEventListener("click", () => {
      const kind = kinds.get(button.dataset.kind);
      kind.isOn = !kind.isOn;
      button.setAttribute("aria-pressed", String(kind.isOn));
      uncover();
      show(now);
    });
  }

  // A frame's time is rounded: it may come a little before the cut that it begins with.
  const shotAt = (ms) => cuts.filter((cut) => cut <= ms + 2).length;
  function rowAt(rows, ms) {
    let low = 0, high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle][0] <= ms) low = middle + 1; else high = middle;
    }
    const shot = shotAt(ms);
    const [before, after] = [rows[low - 1], rows[low]].map((row) => (row && shotAt(row[0]) === shot ? row : null));
    if (before && after && after[0] - before[0] <= MIX_MS) {
      const share = (ms - before[0]) / (after[0] - before[0]);
      return before.map((value, n) => (value === null || after[n] === null ? null : value + share * (after[n] - value)));
    }
    const near = [before, after].filter((row) => row && Math.abs(row[0] - ms) <= REACH_MS);
    return near.sort((a, b) => Math.abs(a[0] - ms) - Math.abs(b[0] - ms))[0];
  }

  const boxPath = ([x0, y0, x1, y1]) => `M${x0} ${y0}H${x1}V${y1}H${x0}z`;
  const pointsOf = (row) => row.slice(2).flatMap((x, n, numbers) => (n % 2 ? [] : [x === null || numbers[n + 1] === null ? null : [x, numbers[n + 1]]]));
  const around = (points) => {
    const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
    return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
  };
  function chainPath(chain, points) {
    let path = "", isDown = false;
    for (const place of chain) {
      if (points[place]) path += `${isDown ? "L" : "M"}${points[place].join(" ")}`;
      isDown = Boolean(points[place]);
    }
    return path;
  }

  function labelOf({ analyzer, kind, things }, thing, on) {
    const about = (name) => on.filter((s) => s.analyzer === name && (s.thing === thing || s.thing === null)).map((s) => s.text);
    const [first = NOUNS[kind] ?? titles.get(analyzer)] = about(analyzer);
    const number = kind === "faces" && things.size > 1 ? ` ${thing + 1}` : "";
    const more = kind === "faces" ? words.flatMap(about).filter((text) => text !== first) : [];
    return [first + number, ...new Set(more)].join(" · ");
  }

  function drawOverlay(on) {
    if (!kinds.size || !stage.clientWidth) return; // it has no size while it is printed
    const ms = 1000 * now, strokes = new Map(), named = [], faces = new Map();
    for (const [kind, { isOn }] of kinds) if (isOn) strokes.set(kind, { lines: "", dots: "" });
    for (const moving of series) {
      const to = strokes.get(moving.kind);
      if (!to) continue;
      for (const [thing, rows] of moving.things) {
        const row = rowAt(rows, ms);
        if (!row) continue;
        if (moving.shape === "gaze") {
          const face = faces.get(thing);
          if (!face) continue;
          const [yaw, pitch] = row.slice(2).map((degrees) => (degrees * Math.PI) / 180);
          const eyes = [(face[0] + face[2]) / 2, face[1] + EYE_HEIGHT * (face[3] - face[1])];
          const length = GAZE_LENGTH * (face[3] - face[1]);
          const across = (length * Math.sin(yaw) * stage.clientHeight) / stage.clientWidth;
          to.lines += `M${eyes.join(" ")}l${across} ${-length * Math.sin(pitch)}`;
          to.dots += `M${eyes.join(" ")}h0`;
          continue;
        }
        let box = row.slice(2);
        if (moving.shape === "box") {
          to.lines += boxPath(box);
          if (moving.kind === "faces") faces.set(thing, box);
        } else {
          const points = pointsOf(row), seen = points.filter(Boolean);
          for (const chain of chains[moving.shape]) to.lines += chainPath(chain, points);
          for (const point of seen) to.dots += `M${point.join(" ")}h0`;
          if (!seen.length) continue;
          box = around(seen);
        }
        named.push({ kind: moving.kind, text: labelOf(moving, thing, on), box });
      }
    }
    for (const s of on) {
      const to = s.box && strokes.get(still[s.analyzer]);
      if (!to) continue;
      to.lines += boxPath(s.box);
      named.push({ kind: still[s.analyzer], text: s.text, box: s.box });
    }
    for (const [kind, { paths }] of kinds) {
      const { lines, dots } = strokes.get(kind) ?? { lines: "", dots: "" };
      for (const [n, path] of paths.entries()) path.setAttribute("d", n < 2 ? lines : dots);
    }
    placeLabels(named);
  }

  // Each label takes the first free place at its box; one that finds none is left out, so that all others can be read.
  function placeLabels(named) {
    const order = [...kinds.keys()];
    named.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
    while (labels.length < named.length) {
      labels.push(element("b", { dir: "auto" }));
      surface.append(labels.at(-1));
    }
    for (const [n, label] of labels.entries()) {
      label.hidden = n >= named.length;
      if (label.hidden) continue;
      if (label.textContent !== named[n].text) label.textContent = named[n].text;
      label.className = `k-${named[n].kind}`;
    }
    const width = stage.clientWidth, height = stage.clientHeight, taken = [];
    const sizes = named.map((_, n) => [labels[n].offsetWidth, labels[n].offsetHeight]);
    const boxes = named.map(({ box }) => box.map((value, i) => (value * (i % 2 ? height : width)) / 1000));
    for (const n of named.keys()) {
      const [w, h] = sizes[n], [x0, y0, x1, y1] = boxes[n];
      const legible = boxes.filter((_, i) => i !== n && ["faces", "text"].includes(named[i].kind));
      const [left, right] = [x0, x1 - w].map((x) => Math.min(Math.max(x, 0), width - w));
      const [above, inside, low, below] = [y0 - h - LABEL_GAP_PX, y0 + LABEL_GAP_PX, y1 - h - LABEL_GAP_PX, y1 + LABEL_GAP_PX];
      const spots = [above, inside, below, low].flatMap((y) => [[left, y], [right, y]]);
      for (let y = inside + h; y < low; y += h) spots.push([left, y], [right, y]);
      const covers = ([x, y], others) => others.some(([a, b, c, d]) => x < c && x + w > a && y < d && y + h > b);
      const free = spots.filter((at) => at[1] >= 0 && at[1] + h <= height && !covers(at, taken));
      const spot = free.find((at) => !covers(at, legible)) ?? free[0];
      labels[n].hidden = !spot;
      if (!spot) continue;
      taken.push([spot[0], spot[1], spot[0] + w + LABEL_GAP_PX, spot[1] + h + LABEL_GAP_PX]);
      labels[n].style.transform = `translate(${spot[0]}px, ${spot[1]}px)`;
    }
  }

  // The browser lays its buttons over a paused picture: where something is drawn they make room until they are wanted.
  let byKey = false;
  function uncover() {
    const wanted = stage.matches(":hover") || (byKey && stage.contains(document.activeElement));
    player.controls = wanted || !player.paused || ![...kinds.values()].some((kind) => kind.isOn);
  }
  if (kinds.size) {
    window.addEventListener("keydown", () => { byKey = true; }, true);
    window.addEventListener("pointerdown", () => { byKey = false; }, true);
    for (const event of ["pointerenter", "pointerleave", "focusin", "focusout"]) stage.addEventListener(event, () => setTimeout(uncover));
    for (const event of ["play", "pause"]) player.addEventListener(event, uncover);
    window.addEventListener("resize", () => show(now));
  }

  const asked = /^#t=(\d+(?:\.\d+)?)$/.exec(location.hash);
  if (asked) seek(Number(asked[1]));
})();
