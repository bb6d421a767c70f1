
"use strict";
// Sorting, reading values under the pointer, switching lines, saving. The page is complete without any of it.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("comparison").textContent);
  const tip = byId("tip");

  // Light and dark: the button goes against what is shown now.
  const root = document.documentElement;
  const darkNow = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const nameTheme = () => { byId("theme").textContent = darkNow() ? "Light" : "Dark"; };
  byId("theme").addEventListener("click", () => { root.dataset.theme = darkNow() ? "light" : "dark"; nameTheme(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", nameTheme);
  nameTheme();

  // Table: ascending, descending, and back to the order of the run. Unknown figures stay at the end.
  const body = byId("policies").tBodies[0];
  const original = all("tr", body);
  all("#policies thead th").forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const turn = { null: "ascending", ascending: "descending", descending: null }[head.getAttribute("aria-sort")];
      all("#policies thead th").forEach((other) => other.removeAttribute("aria-sort"));
      if (!turn) return body.append(...original);
      head.setAttribute("aria-sort", turn);
      const sign = turn === "ascending" ? 1 : -1;
      const key = (row) => (column === 0 ? row.dataset.policy : row.cells[column].dataset.value);
      body.append(...[...original].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (column === 0) return sign * x.localeCompare(y, undefined, { numeric: true });
        if (x === "" || y === "") return (x === "") - (y === "");
        return sign * (Number(x) - Number(y));
      }));
    });
  });

  // The tooltip takes lines of text only; names in it are data.
  const showTip = (lines, x, y) => {
    tip.replaceChildren(...lines.map((line, i) => {
      const element = document.createElement(i === 0 ? "b" : "span");
      if (Array.isArray(line)) {
        element.className = "reading";
        element.append(...line.map((part) => Object.assign(document.createElement("span"), { textContent: part })));
      } else {
        element.textContent = line;
      }
      return element;
    }));
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(8, Math.min(x + 14, innerWidth - box.width - 8)) + "px";
    tip.style.top = (y + 16 + box.height > innerHeight ? Math.max(8, y - box.height - 12) : y + 16) + "px";
  };
  const hideTip = () => { tip.hidden = true; };

  // What belongs to one policy lights up everywhere.
  const focus = (index) => {
    all(".on").forEach((element) => element.classList.remove("on"));
    document.body.classList.toggle("focus", index !== undefined);
    if (index !== undefined) all(`[data-index="${index}"]`).forEach((element) => element.classList.add("on"));
  };
  const chartOf = byId("positions");
  document.addEventListener("pointerover", (event) => {
    const owner = event.target.closest("[data-index]");
    focus(owner && !owner.closest(".details") ? owner.dataset.index : undefined);
    const told = event.target.closest("[data-tip]");
    if (told) showTip(told.dataset.tip.split("\n"), event.clientX, event.clientY);
    else if (!chartOf.contains(event.target)) hideTip();
  });
  document.addEventListener("focusin", (event) => {
    if (!event.target.matches(":focus-visible")) return;
    const told = event.target.closest("[data-tip]");
    focus(event.target.closest(".point, .toggle")?.dataset.index);
    if (!told) return hideTip();
    const box = told.getBoundingClientRect();
    showTip(told.dataset.tip.split("\n"), box.right, box.top);
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") { hideTip(); focus(); } });

  // Bars: true sizes, or every bar stretched to its total.
  const compose = byId("compose");
  compose.hidden = false;
  compose.addEventListener("click", () => {
    const on = byId("bytes").classList.toggle("composition");
    compose.setAttribute("aria-pressed", on);
  });

  // Lines: switched by their names.
  const toggles = all(".toggle[data-index]");
  const setLine = (toggle, shown) => {
    toggle.setAttribute("aria-pressed", shown);
    chartOf.querySelector(`.series[data-index="${toggle.dataset.index}"]`).classList.toggle("off", !shown);
  };
  const isShown = (toggle) => toggle.getAttribute("aria-pressed") === "true";
  toggles.forEach((toggle) => {
    toggle.addEventListener("click", () => setLine(toggle, !isShown(toggle)));
    toggle.addEventListener("dblclick", () => toggles.forEach((other) => setLine(other, other === toggle)));
  });
  all(".toggle[data-all]").forEach((button) => button.addEventListener("click", () => {
    const shown = !toggles.every(isShown);
    toggles.forEach((toggle) => setLine(toggle, shown));
  }));

  // Reading all lines at the pointer's position.
  const cursor = chartOf.querySelector(".cursor");
  const figure = (x) => (x < 0.000095 ? x.toExponential(1) : x.toFixed(x < 0.00095 ? 5 : 4));
  if (cursor) {
    const [left, right, last] = ["left", "right", "last"].map((name) => Number(chartOf.dataset[name]));
    chartOf.addEventListener("pointermove", (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(chartOf.getScreenCTM().inverse());
      if (at.x < left || at.x > right) { cursor.setAttribute("visibility", "hidden"); return hideTip(); }
      const position = Math.round((at.x - left) / (right - left) * last);
      const readings = toggles.filter(isShown).map((toggle) => {
        const policy = data.policies[toggle.dataset.index];
        const bin = policy.kld_curve.find((b) => b.first <= position && position <= b.last);
        return { name: policy.policy, kld: bin?.kld };
      }).filter((r) => typeof r.kld === "number").sort((a, b) => b.kld - a.kld);
      cursor.setAttribute("x1", at.x);
      cursor.setAttribute("x2", at.x);
      cursor.setAttribute("visibility", "visible");
      showTip(["position " + position, ...readings.map((r) => [r.name, figure(r.kld)])], event.clientX, event.clientY);
    });
    chartOf.addEventListener("pointerleave", () => { cursor.setAttribute("visibility", "hidden"); hideTip(); });
  }

  const save = (button, name, type, text) => {
    byId(button).hidden = false;
    byId(button).addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text()], { type }));
      link.download = name;
      link.click();
      URL.revokeObjectURL(link.href);
    });
  };
  save("save-csv", "comparison.csv", "text/csv", () => JSON.parse(byId("csv").textContent));
  save("save-json", "comparison.json", "application/json", () => JSON.stringify(data, null, 2) + "\n");

  addEventListener("beforeprint", () => all("details").forEach((details) => { details.open = true; }));
})();
