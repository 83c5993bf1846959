// Lengths of time in words; the same as apps/web/formats.py writes.

const UNITS = [
  ["d", 86400],
  ["h", 3600],
  ["min", 60],
];

export function duration(seconds) {
  for (const [unit, size] of UNITS) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${seconds} s`;
}
