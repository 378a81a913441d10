"use strict";

// How the last votes went: who said the same as whom, and what each vote weighed. Loaded before page.js, whose
// helpers it uses; names and reasons come from other machines and reach the page through textContent only.

const SHOWN_DECISIONS = 8;

/** Weight by answer, the winner's first: ballots with the same key count as one answer. */
function sharesOf(decision) {
  const winner = decision.ballots.find((ballot) => ballot.chosen)?.key;
  const shares = new Map();
  for (const { valid, key, weight } of decision.ballots) if (valid) shares.set(key, (shares.get(key) || 0) + weight);
  const total = [...shares.values()].reduce((sum, weight) => sum + weight, 0) || 1;
  return [...shares].map(([key, weight]) => ({ won: key === winner, share: weight / total })).sort((a, b) => b.won - a.won || b.share - a.share);
}

function shareBar(decision) {
  const shares = sharesOf(decision);
  const pieces = shares.map(({ won, share }) => {
    const piece = element("span", { className: won ? "share won" : "share" });
    piece.style.width = `${100 * share}%`;
    return piece;
  });
  const label = `${count(shares.length, "answer")}, ${Math.round(decision.agreement * 100)} % agreement`;
  return element("span", { className: "shares", role: "img", "aria-label": label, children: pieces });
}

function ballotRow(ballot, letters) {
  const cell = (text, className = "") => element("td", { text, className });
  const children = [
    cell(ballot.name || shortId(ballot.node)),
    cell(ballot.valid ? letters.get(ballot.key) : "–", ballot.chosen ? "chosen" : ""),
    cell(ballot.valid ? ballot.weight.toFixed(2) : "", "number"),
    cell(ballot.answered ? duration(ballot.latency_s) : "", "number"),
    cell(ballot.reason),
  ];
  return element("tr", { className: ballot.valid ? "" : "soft", children });
}

/** Answers are called A, B, …: what they said is not kept, unless the operator wants it. */
function ballotTable(decision) {
  const keys = [...new Set(decision.ballots.filter((ballot) => ballot.valid).map((ballot) => ballot.key))];
  const letters = new Map(keys.map((key, index) => [key, String.fromCharCode(65 + (index % 26))]));
  const heads = [["Machine"], ["Answer"], ["Weight", "number"], ["Time", "number"], ["Why"]];
  const head = element("tr", { children: heads.map(([text, className]) => element("th", { text, className, scope: "col" })) });
  const rows = decision.ballots.map((ballot) => ballotRow(ballot, letters));
  return element("table", { children: [element("thead", { children: [head] }), element("tbody", { children: rows })] });
}

function decisionItem(decision) {
  const at = new Date(decision.at * 1000);
  const winner = decision.ballots.find((ballot) => ballot.chosen)?.name || shortId(decision.winner);
  const verdict = decision.decided ? "decided" : "undecided";
  const summary = element("summary", {
    children: [
      element("time", { text: at.toLocaleTimeString("en-GB"), datetime: at.toISOString() }),
      shareBar(decision),
      element("span", { text: `${winner} · ${Math.round(decision.agreement * 100)} %, ${verdict}` }),
      element("span", { className: "soft", text: `${decision.strategy}, ${duration(decision.seconds)}` }),
    ],
  });
  const texts = decision.prompt === null ? [] : [element("p", { className: "kept", text: `${decision.prompt}\n→ ${decision.answer}` })];
  const children = [summary, element("p", { className: "soft", text: decision.reason }), ...texts, ballotTable(decision)];
  return element("li", { children: [element("details", { children })] });
}

/** Newest first. Rewritten only when there was another vote, so that what is open stays open. */
function showDecisions(decisions) {
  const shown = decisions.slice(0, SHOWN_DECISIONS);
  const list = find("decisions");
  find("decisions-section").hidden = shown.length === 0;
  const key = shown.map((decision) => decision.request).join();
  if (list.dataset.shown === key) return;
  list.dataset.shown = key;
  list.replaceChildren(...shown.map(decisionItem));
}
