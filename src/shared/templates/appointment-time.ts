import { languageOf } from "./locales.ts";

/** An appointment's time in words of one language. */
export type WrittenTime = {
  weekday: string;
  /** With the weekday; with the year only when it is not this one. */
  date: string;
  time: string;
  /** The name of the zone, as it is on that day, when the reader's clock shows another time. */
  zone: string | null;
};

export type TimeToWrite = {
  startsAt: Date;
  timeZone: string;
  readerZone: string;
  now: Date;
};

/** Making a format costs more than rendering a message, so formats are kept, up to this many. */
const FORMATS_MAX = 1_000;

type WriteTime = (locale: string, moment: TimeToWrite) => WrittenTime;

export function createTimeWriter(): WriteTime {
  const formats = new Map<string, Intl.DateTimeFormat>();
  function format(locale: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
    const key = JSON.stringify([locale, options]);
    const known = formats.get(key);
    if (known !== undefined) return known;
    if (formats.size >= FORMATS_MAX) formats.clear();
    const made = new Intl.DateTimeFormat(locale, options);
    formats.set(key, made);
    return made;
  }

  return (locale, { startsAt, timeZone, readerZone, now }) => {
    const start = inZone(startsAt, timeZone);
    const year = start.year !== inZone(now, timeZone).year;
    const zone = start.offset !== inZone(startsAt, readerZone).offset;
    if (isWelsh(locale)) return writeWelsh(start, { year, zone });

    const date = format(locale, {
      ...{ weekday: "long", day: "numeric", month: "long", timeZone },
      ...(year ? { year: "numeric" } : {}),
    }).formatToParts(startsAt);
    const time = format(locale, { timeStyle: "short", timeZone }).format(startsAt);
    const named = zone
      ? format(locale, { timeZoneName: "long", timeZone }).formatToParts(startsAt)
      : [];
    const isFrench = languageOf(locale) === "fr"; // Which has the one ordinal that Intl does not know
    const written = date.map(({ type, value }) =>
      type === "day" && value === "1" && isFrench ? "1er" : value
    );
    return {
      weekday: date.find(({ type }) => type === "weekday")?.value ?? "",
      date: written.join(""),
      time,
      zone: named.find(({ type }) => type === "timeZoneName")?.value ?? null,
    };
  };
}

/** Whether dates can be written in the language. The runtime would silently write them in another. */
export function canWriteDates(locale: string): boolean {
  return isWelsh(locale) || Intl.DateTimeFormat.supportedLocalesOf(locale).length > 0;
}

function inZone(instant: Date, timeZone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(instant.getTime()).toZonedDateTimeISO(timeZone);
}

function isWelsh(locale: string): boolean {
  return languageOf(locale) === "cy";
}

// Deno's copy of the Unicode data leaves Welsh out
const WELSH_WEEKDAYS = ["Llun", "Mawrth", "Mercher", "Iau", "Gwener", "Sadwrn", "Sul"];
const WELSH_MONTHS = [
  ...["Ionawr", "Chwefror", "Mawrth", "Ebrill", "Mai", "Mehefin"],
  ...["Gorffennaf", "Awst", "Medi", "Hydref", "Tachwedd", "Rhagfyr"],
];

function writeWelsh(
  start: Temporal.ZonedDateTime,
  { year, zone }: { year: boolean; zone: boolean },
): WrittenTime {
  const weekday = `dydd ${WELSH_WEEKDAYS[start.dayOfWeek - 1]}`;
  const month = WELSH_MONTHS[start.month - 1];
  return {
    weekday,
    date: `${weekday} ${start.day} ${month}${year ? ` ${start.year}` : ""}`,
    time: start.toPlainTime().toString({ smallestUnit: "minute" }),
    zone: zone ? nameWelshZone(start) : null,
  };
}

function nameWelshZone({ timeZoneId, offset }: Temporal.ZonedDateTime): string {
  if (timeZoneId !== "Europe/London") return `GMT${offset}`;
  return offset === "+00:00" ? "Amser Cymedrig Greenwich" : "Amser Haf Prydain";
}
