#!/usr/bin/env python3
"""Checks a comparison page against the JSON of the same comparison, in headless Chromium.

    check_report.py PAGE.html COMPARISON.json

The page must be well-formed, load from file:// without a console message or a request to anything else, show exactly
the figures of the JSON, hold one bar segment per policy and kind, and react to its buttons. Exits 0 if so, 1 with a
line per fault, 77 when there is no browser.
"""
import html.parser
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
FAULTS = []


def fault(text):
    FAULTS.append(text)


def expect(condition, text):
    if not condition:
        fault(text)


class Node:
    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.children, self.text = [], ""

    def __getitem__(self, name):
        return self.attributes.get(name)

    def classes(self):
        return (self["class"] or "").split()

    def walk(self):
        yield self
        for child in self.children:
            yield from child.walk()

    def find(self, tag=None, **wanted):
        """Descendants by tag and attributes; `cls` asks for a class, `_` in names stands for `-`."""
        cls = wanted.pop("cls", None)
        for node in self.walk():
            if tag is not None and node.tag != tag:
                continue
            if cls is not None and cls not in node.classes():
                continue
            if all(node[name.replace("_", "-")] == value for name, value in wanted.items()):
                yield node


class TreeBuilder(html.parser.HTMLParser):
    """A strict tree: every element that is opened must be closed, in order."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.root = self.current = Node("#root", {}, None)
        self.source = source

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        expect(len(names) == len(set(names)), f"{self.source}: <{tag}> has an attribute twice: {names}")
        node = Node(tag, dict(attributes), self.current)
        self.current.children.append(node)
        if tag not in VOID:
            self.current = node

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.current = self.current.parent

    def handle_endtag(self, tag):
        if self.current.tag != tag:
            fault(f"{self.source}: </{tag}> at {self.getpos()} closes <{self.current.tag}>")
            return
        self.current = self.current.parent

    def handle_data(self, data):
        self.current.text += data


def parse(text, source):
    builder = TreeBuilder(source)
    builder.feed(text)
    builder.close()
    expect(builder.current is builder.root, f"{source}: <{builder.current.tag}> is never closed")
    return builder.root


def find_browser():
    for name in [os.environ.get("SLUICE_BROWSER"), "chromium", "chromium-browser", "google-chrome"]:
        if name and shutil.which(name):
            return shutil.which(name)
    return None


def browse(browser, page, folder):
    """The DOM after scripts ran, and the URLs that the page asked for. Console messages become faults."""
    log = pathlib.Path(folder) / "net.json"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
               "--disable-background-networking", "--disable-component-update", "--disable-sync",
               "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder}/profile", "--enable-logging=stderr",
               "--v=0", f"--log-net-log={log}", "--virtual-time-budget=4000", "--dump-dom"]
    done = subprocess.run(command + [page.as_uri()], capture_output=True, timeout=180)
    for line in done.stderr.decode(errors="replace").splitlines():
        if "CONSOLE" in line:
            fault(f"console: {line}")
    expect(done.returncode == 0, f"the browser ended with {done.returncode}")
    return done.stdout.decode(errors="replace"), requests_of_the_page(log)


def requests_of_the_page(log):
    """URLs in a net log whose initiator is the page; what the browser itself wants (updates, time) has no origin."""
    text = log.read_text(errors="replace").rstrip()
    try:
        events = json.loads(text)["events"]
    except json.JSONDecodeError:  # the browser was gone before it wrote the end
        events = json.loads(text.rstrip(",") + "]}")["events"]
    requests = [event.get("params", {}) for event in events]
    return [r["url"] for r in requests if "url" in r and r.get("initiator", "not an origin") != "not an origin"]


def same(text, value):
    """An attribute's text and a JSON value: equal to the last bit, nothing for null."""
    if value is None:
        return text == ""
    if isinstance(value, str):
        return text == value
    if text in (None, ""):
        return False
    return int(text) == value if isinstance(value, int) else float(text) == value


def at(record, path):
    if path.startswith("stats."):
        return record["stats"].get(path[6:])
    for part in path.split("."):
        record = record.get(part) if isinstance(record, dict) else None
    return record


def check_figures(root, data):
    policies = data["policies"]
    rows = [node for node in next(root.find(id="policies")).find("tr") if node["data-index"] is not None]
    expect([row["data-policy"] for row in rows] == [p["policy"] for p in policies], "table rows are not the policies")
    shown = {"kv.bytes", "kv.ratio", "kv.bits_per_element", "kv.tokens_kept", "ppl", "kld_mean", "kld_p99", "kld_max",
             "same_top"}
    if any(p["tok_s"] is not None for p in policies):  # a column that no row fills is left out
        shown.add("tok_s")
    for row, policy in zip(rows, policies):
        cells = {cell["data-field"]: cell for cell in row.find("td")}
        expect(set(cells) == shown, f"{policy['policy']}: the table shows {sorted(cells)}")
        for field, cell in cells.items():
            expect(same(cell["data-value"], at(policy, field)),
                   f"{policy['policy']}: table {field} is {cell['data-value']!r}, JSON says {at(policy, field)!r}")
        if not policy["kv"]["stored"]:
            for field in shown & {"kv.bytes", "kv.ratio", "kv.bits_per_element", "tok_s"}:
                expect(cells[field]["data-value"] == "", f"{policy['policy']}: simulated, yet shows {field}")
        nearest = [node["data-nearest"] for node in row.find("small") if node["data-nearest"] is not None]
        expect(nearest == ([policy["nearest_in_bytes"]] if policy["nearest_in_bytes"] else []),
               f"{policy['policy']}: nearest in bytes is {nearest}")
        expect(("on-front" in row.classes()) == (policy["policy"] in data["pareto_front"]),
               f"{policy['policy']}: front in table and JSON differ")
    details = [node for node in root.find("details")]
    expect(len(details) == len(policies), f"{len(details)} details for {len(policies)} policies")
    for section, policy in zip(details, policies):
        fields = [node for node in section.walk() if node["data-field"]]
        for node in fields:
            expect(same(node["data-value"], at(policy, node["data-field"])),
                   f"{policy['policy']}: details {node['data-field']} is {node['data-value']!r}")
        names = {node["data-field"] for node in fields}
        for stat in policy["stats"]:
            expect("stats." + stat in names, f"{policy['policy']}: counter {stat!r} is not shown")
    for node in next(root.find(id="conditions")).walk():
        if node["data-field"]:
            expect(same(node["data-value"], at(data, node["data-field"])), f"conditions: {node['data-field']}")


def check_bars(root, data):
    policies = data["policies"]
    stored = [list(p["kv"]["by_kind"]) for p in policies if p["kv"]["stored"]]
    kinds = stored[0] if stored else list(dict.fromkeys(s["data-kind"] for s in root.find("rect", cls="segment")))
    segments = list(root.find("rect", cls="segment"))
    expect(len(segments) == len(policies) * len(kinds), f"{len(segments)} segments, not {len(policies)} x {len(kinds)}")
    expect(len(list(root.find("g", cls="bar-row"))) == len(policies), "not one bar per policy")
    scale = None
    for segment in segments:
        policy = policies[int(segment["data-index"])]
        kind, width = segment["data-kind"], float(segment["width"])
        name = f"{policy['policy']} {kind}"
        expect(policy["policy"] == segment["data-policy"], f"{name}: segment names another policy")
        if not policy["kv"]["stored"]:
            expect(segment["data-bytes"] == "" and width == 0, f"{name}: simulated, yet drawn")
            continue
        bytes_stored = policy["kv"]["by_kind"][kind]
        expect(same(segment["data-bytes"], bytes_stored), f"{name}: {segment['data-bytes']} bytes, not {bytes_stored}")
        if bytes_stored > 500000:  # wide enough to measure in hundredths of a pixel
            scale = scale or width / bytes_stored
            expect(math.isclose(width, scale * bytes_stored, abs_tol=0.03), f"{name}: {width} px for {bytes_stored} bytes")
        expect((width == 0) or bytes_stored > 0, f"{name}: a width without bytes")


def check_charts(root, data):
    policies = data["policies"]
    ranked = [p for p in policies if p["kv"]["stored"] and p["kld_mean"] is not None]
    points = list(root.find("g", cls="point"))
    expect([p["data-policy"] for p in points] == [p["policy"] for p in ranked], "points are not the ranked policies")
    for point, policy in zip(points, ranked):
        expect(same(point["data-bytes"], policy["kv"]["bytes"]), f"{policy['policy']}: bytes of its point")
        expect(same(point["data-kld-mean"], policy["kld_mean"]), f"{policy['policy']}: KLD of its point")
    lines = {node["data-policy"]: node for node in root.find("g", cls="series")}
    for policy in policies:
        measured = [b for b in policy["kld_curve"] if b["kld"] is not None and b["kld"] > 0]
        drawn = not policy["reference"] and bool(measured)
        expect((policy["policy"] in lines) == drawn, f"{policy['policy']}: line drawn or missing")
        if drawn and policy["policy"] in lines:
            path = next(lines[policy["policy"]].find("path", cls="line"))["d"]
            corners = len(re.findall("[ML]", path))
            finite = len([b for b in policy["kld_curve"] if b["kld"] is not None])
            expect(corners == finite, f"{policy['policy']}: {corners} corners for {finite} bins")


def check_references(root):
    for node in root.walk():
        for name in ("src", "href", "xlink:href", "action", "srcset", "poster", "data"):
            if node[name] is not None:
                expect(node[name].startswith("data:"), f"<{node.tag} {name}={node[name]!r}> leaves the page")
        for name in node.attributes:
            expect(not name.startswith("on"), f"<{node.tag}> has a handler {name}: text became markup")
    style = "".join(node.text for node in root.find("style"))
    expect(not re.search(r"@import|url\(", style), "the style sheet refers to something")
    scripts = list(root.find("script"))
    expect(len(scripts) == 3, f"{len(scripts)} scripts instead of 3: text became markup")


# Appended to a copy of the page: uses it as a reader would and leaves what it saw in the DOM.
DRIVER = """
<script>
(() => {
  const seen = {};
  const order = () => [...document.querySelectorAll("#policies tbody tr")].map((row) => Number(row.dataset.index));
  const heads = [...document.querySelectorAll("#policies thead button")];
  const column = heads.findIndex((head) => head.textContent === "KLD");
  seen.start = order();
  heads[column].click(); seen.up = order(); seen.sortState = heads[column].closest("th").getAttribute("aria-sort");
  heads[column].click(); seen.down = order();
  heads[column].click(); seen.back = order();
  const toggle = document.querySelector(".toggle[data-index]");
  if (toggle) {
    const line = document.querySelector(`.series[data-index="${toggle.dataset.index}"]`);
    toggle.click(); seen.hidden = getComputedStyle(line).display;
    toggle.click(); seen.shown = getComputedStyle(line).display;
    toggle.dispatchEvent(new MouseEvent("dblclick", { bubbles: true }));
    seen.alone = [...document.querySelectorAll(".series:not(.off)")].length;
    document.querySelector(".toggle.all").click();
    seen.all = [...document.querySelectorAll(".series:not(.off)")].length;
    const chart = document.getElementById("positions").getBoundingClientRect();
    document.getElementById("positions").dispatchEvent(new PointerEvent("pointermove",
      { bubbles: true, clientX: chart.left + chart.width / 2, clientY: chart.top + chart.height / 2 }));
    seen.readings = document.querySelectorAll("#tip .reading").length;
  }
  const segment = document.querySelector(".segment[data-tip]");
  if (segment) {
    segment.dispatchEvent(new PointerEvent("pointerover", { bubbles: true, clientX: 10, clientY: 10 }));
    seen.tip = document.getElementById("tip").hidden ? "" : document.getElementById("tip").firstChild.textContent;
    seen.tipFor = segment.dataset.policy;
  }
  document.getElementById("compose").click();
  seen.composed = document.getElementById("bytes").classList.contains("composition");
  document.getElementById("theme").click(); seen.theme = document.documentElement.dataset.theme;
  seen.colour = getComputedStyle(document.body).backgroundColor;
  seen.csv = JSON.parse(document.getElementById("csv").textContent);
  dispatchEvent(new Event("beforeprint"));
  seen.open = document.querySelectorAll("details[open]").length;
  const note = document.createElement("script");
  note.type = "application/json"; note.id = "seen";
  note.textContent = JSON.stringify(seen).replaceAll("<", "\\\\u003c");
  document.body.append(note);
})();
</script>
"""


def check_behaviour(browser, page, data, folder):
    driven = pathlib.Path(folder) / "driven.html"
    driven.write_text(page.read_text().replace("</body>", DRIVER + "</body>"))
    dom, _ = browse(browser, driven, folder)
    notes = list(parse(dom, "driven page").find("script", id="seen"))
    if not notes:
        fault("the page's script did not run to its end")
        return
    seen = json.loads(notes[0].text)
    policies = data["policies"]
    known = [i for i, p in enumerate(policies) if p["kld_mean"] is not None]
    unknown = [i for i, p in enumerate(policies) if p["kld_mean"] is None]
    by_kld = sorted(known, key=lambda i: policies[i]["kld_mean"])
    expect(seen["start"] == list(range(len(policies))), "the table does not start in the order of the run")
    expect(seen["up"] == by_kld + unknown, "sorting by KLD")
    expect(seen["sortState"] == "ascending", "aria-sort after a click")
    expect([i for i in seen["down"] if i in known] == by_kld[::-1], "sorting by KLD, descending")
    expect(seen["down"][len(known):] == unknown, "unknown figures do not stay at the end")
    expect(seen["back"] == seen["start"], "a third click does not bring the order of the run back")
    if "hidden" in seen:
        expect(seen["hidden"] == "none" and seen["shown"] != "none", "a legend click does not switch its line")
        expect(seen["alone"] == 1, "a double click does not isolate the line")
        expect(seen["readings"] == seen["all"] > 0, "the reading under the pointer lacks lines")
    expect(seen.get("tip") == seen.get("tipFor"), "a segment's tooltip does not name its policy")
    expect(seen["composed"], "the composition button does nothing")
    expect(seen["theme"] == "dark" and seen["colour"] == "rgb(19, 21, 26)", f"dark: {seen['theme']} {seen['colour']}")
    expect(seen["open"] == len(policies), "printing does not open the details")
    import csv
    import io
    lines = list(csv.DictReader(io.StringIO(seen["csv"], newline="")))
    expect([line["policy"] for line in lines] == [p["policy"] for p in policies], "the CSV in the page has other rows")
    for line, policy in zip(lines, policies):
        expect(same(line["kld_mean"], policy["kld_mean"]), f"{policy['policy']}: KLD in CSV and JSON differ")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    page, data = pathlib.Path(sys.argv[1]).resolve(), json.loads(pathlib.Path(sys.argv[2]).read_text())
    text = page.read_text()
    check_references(parse(text, "page"))
    browser = find_browser()
    if browser:
        with tempfile.TemporaryDirectory() as folder:
            dom, urls = browse(browser, page, folder)
            for url in urls:
                expect(url.startswith(("file:", "data:")), f"asks the network for {url}")
            root = parse(dom, "DOM")
            check_references(root)
            embedded = json.loads(next(root.find("script", id="comparison")).text)
            expect(embedded == data, "the JSON in the page is not the JSON of the run")
            check_figures(root, data)
            check_bars(root, data)
            check_charts(root, data)
            check_behaviour(browser, page, data, folder)
    for line in FAULTS[:40]:
        print(line)
    if FAULTS:
        sys.exit(f"{page.name}: {len(FAULTS)} faults")
    if not browser:
        print("no browser found (chromium, or name one in SLUICE_BROWSER); only the file was checked")
        sys.exit(77)
    kinds = max(len(p["kv"]["by_kind"]) for p in data["policies"])
    print(f"{page.name}: {len(data['policies'])} policies x {kinds} kinds, figures equal the JSON, console silent, no network")


if __name__ == "__main__":
    main()
