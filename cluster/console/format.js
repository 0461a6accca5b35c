// Numbers as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export const count = (number) => whole.format(number);

export const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

/** 1536 -> "1.5 KiB" */
export function bytes(number) {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(number, 1)) / 10));
  const value = number / 1024 ** power;
  return `${value < 10 && power > 0 ? value.toFixed(1) : whole.format(value)} ${UNITS[power]}`;
}

/** 0.25 -> "250 ms", 95 -> "1 min 35 s" */
export function seconds(number) {
  if (number < 0.95) return `${Math.round(number * 1000)} ms`;
  if (number < 10) return `${number.toFixed(1)} s`;
  const rounded = Math.round(number);
  if (rounded < 60) return `${rounded} s`;
  if (rounded < 3600) return `${Math.floor(rounded / 60)} min ${rounded % 60} s`;
  return `${Math.floor(rounded / 3600)} h ${Math.floor((rounded % 3600) / 60)} min`;
}

/** An age that does not have to move each second: 3.2 -> "3 s", 95 -> "1 min". */
export function age(number) {
  if (number < 60) return `${Math.floor(number)} s`;
  return number < 3600 ? `${Math.floor(number / 60)} min` : `${Math.floor(number / 3600)} h`;
}

/** A session by its own name: "home/letters#0" -> "letters"; a generation after the first stays. */
export const sessionName = (session) => session.replace(/^[^/]*\//, "").replace(/#0$/, "");
