"use strict";
(() => {
  const $ = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const data = JSON.parse($("#data").textContent);
  const player = $("#player"), lanes = $("#lanes"), position = $("#position"), tip = $("#tip");
  const duration = data.duration_s;
  if (!duration) return;

  const laneOf = (element) => element.closest(".lane");
  const familyOf = (element) => element.className.match(/\bf-[a-z]+/)[0];
  const timed = (element) => ({ element, start: Number(element.dataset.s), end: Number(element.dataset.e) });
  const segments = all(".seg").map((element) => ({
    ...timed(element),
    lane: laneOf(element).dataset.name,
    family: familyOf(laneOf(element)),
    text: element.textContent.trim() || element.getAttribute("aria-label").split(",")[0],
    box: element.dataset.box && element.dataset.box.split(" ").map(Number),
  }));
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
    lanes.style.setProperty("--at", now / duration);
    position.value = now;
    position.setAttribute("aria-valuetext", `${clock(now)} of ${clock(duration)}`);
    $("#clock").textContent = clock(now);
    const on = segments.filter(isOn);
    const key = on.map((s) => segments.indexOf(s)).join();
    drawBoxes(on);
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
    if (target.closest("button, input, summary, a, video, [tabindex='0']")) return;
    const fps = data.fps || 30;
    const step = { ArrowLeft: -1, ArrowRight: 1, ",": -1 / fps, ".": 1 / fps }[event.key];
    if (step) { event.preventDefault(); seek(now + step); }
    else if (event.key === " " && playable()) {
      event.preventDefault();
      if (player.paused) player.play().catch(() => {}); // refused where it is paused again at once
      else player.pause();
    }
  });

  /* boxes over the picture */
  const boxSwitch = $("#boxes-switch"), boxes = $("#boxes");
  const laneByTitle = new Map(all(".lane[data-name]").map((lane) => [lane.querySelector(".lane-name a").hash.slice(3), lane]));
  const readable = new Map(segments.map((s) => [laneOf(s.element), s.text]));
  const HIT_REACH_S = 0.3;
  function drawBoxes(on) {
    if (!boxes || boxes.hidden) return;
    const drawn = [];
    const add = (family, text, [x0, y0, x1, y1]) => {
      const box = element("i", { className: family });
      box.dataset.text = text;
      Object.assign(box.style, { left: `${100 * x0}%`, top: `${100 * y0}%`, width: `${100 * (x1 - x0)}%`, height: `${100 * (y1 - y0)}%` });
      drawn.push(box);
    };
    const tracked = new Set();
    for (const [name, hits] of Object.entries(data.hits)) {
      const lane = laneByTitle.get(name);
      tracked.add(lane.dataset.name);
      const nearest = new Map();
      for (const hit of hits) {
        const away = Math.abs(hit[0] - now);
        if (away <= HIT_REACH_S && away < Math.abs((nearest.get(hit[1]) ?? [Infinity])[0] - now)) nearest.set(hit[1], hit);
      }
      for (const hit of nearest.values()) add(familyOf(lane), `${readable.get(lane) ?? lane.dataset.name} ${hit[1] + 1}`, hit.slice(2));
    }
    for (const s of on) if (s.box && !tracked.has(s.lane)) add(s.family, s.text, s.box);
    boxes.replaceChildren(...drawn);
  }
  if (boxSwitch && (Object.keys(data.hits).length || segments.some((s) => s.box))) {
    boxSwitch.hidden = false;
    boxSwitch.addEventListener("click", () => {
      boxes.hidden = !boxes.hidden;
      boxSwitch.setAttribute("aria-pressed", String(!boxes.hidden));
      show(now);
    });
  }

  const asked = /^#t=(\d+(?:\.\d+)?)$/.exec(location.hash);
  if (asked) seek(Number(asked[1]));
})();
