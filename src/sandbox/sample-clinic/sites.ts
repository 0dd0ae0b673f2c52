/** Given name, family name, preferred language (BCP 47). */
export type Person = readonly [given: string, family: string, language: string];

/** One clinic of the sample. Its id, zone and location are those of the clinics' file. */
export type Site = {
  id: string;
  name: string;
  city: string;
  country: string;
  timeZone: string;
  location: string;
  /** ISO weekdays, Monday is 1. */
  openOn: readonly number[];
  /** Local times of the appointments booked at the last moment: spread so that some clinic has one soon. */
  lateBookingsAt: readonly string[];
  emailDomain: string;
  /** The nth patient's mobile number, E.164. */
  mobile: (n: number) => string;
  /** How the people there write a number of their own country. */
  national: (e164: string) => string;
  landline: string;
  practitioners: readonly Person[];
  /** One for each of `PATIENT_CASES`, in that order. The seventh and the eighth are a child and a parent. */
  patients: readonly Person[];
};

const EVERY_DAY = [1, 2, 3, 4, 5, 6, 7];
const MONDAY_TO_FRIDAY = [1, 2, 3, 4, 5];
const NOT_ON_WEDNESDAYS = [1, 2, 4, 5];
const MONDAY_TO_SATURDAY = [1, 2, 3, 4, 5, 6];

const twoDigits = (n: number) => String(n).padStart(2, "0");

/**
 * Numbers set aside for fiction: Ofcom's 07700 900xxx, 555-0100 to 555-0199, and the Bundesnetzagentur's for media
 * productions. Spain and New Zealand have set none aside: theirs only have the right shape, so they must not reach a
 * real provider. libphonenumber knows Ofcom's as possible, not as valid.
 */
export const SITES: readonly Site[] = [
  {
    id: "oak",
    name: "Oak Street Clinic",
    city: "Cardiff",
    country: "GB",
    timeZone: "Europe/London",
    location: "oak-main",
    openOn: EVERY_DAY,
    lateBookingsAt: ["11:30"],
    emailDomain: "oak.example.org",
    mobile: (n) => `+447700900${200 + n}`,
    national: (e164) => e164.replace(/^\+44(\d{4})/, "0$1 "),
    landline: "+442920180321",
    practitioners: [["Eleri", "Morgan", "cy"], ["Samuel", "Adeyemi", "en"]],
    patients: [
      ["Siân", "Evans", "cy"],
      ["Priya", "Nair", "en"],
      ["Łukasz", "Kowalski", "pl"],
      ["Margaret", "O’Brien", "en"],
      ["Zoë", "Whitfield", "en"],
      ["Gethin", "Pryce-Jones", "cy"],
      ["Alfie", "Hughes", "en"],
      ["Carys", "Hughes", "cy"],
      ["Tomos", "Rees", "cy"],
      ["Arthur", "Pemberton", "en"],
      ["Noor", "Hussain", "en"],
      ["Dilys", "Bowen", "cy"],
      ["Callum", "Reid", "en"],
      ["Sian", "Evans", "cy"],
    ],
  },
  {
    id: "ruiz",
    name: "Clínica Ruiz",
    city: "Madrid",
    country: "ES",
    timeZone: "Europe/Madrid",
    location: "ruiz-madrid",
    openOn: MONDAY_TO_FRIDAY,
    lateBookingsAt: ["17:00"],
    emailDomain: "ruiz.example.com",
    mobile: (n) => `+34600000${200 + n}`,
    national: (e164) => e164.replace(/^\+34(\d{3})(\d{3})(\d{3})/, "$1 $2 $3"),
    landline: "+34910000321",
    practitioners: [["Elena", "Ruiz Ortega", "es"], ["Íñigo", "Echeverría", "es"]],
    patients: [
      ["Ana", "García López", "es"],
      ["Jürgen", "Albrecht", "de"],
      ["Begoña", "Muñoz Peña", "es"],
      ["José María", "Fernández", "es"],
      ["Inés", "Castaño Díaz", "es"],
      ["Harriet", "Blackwood", "en"],
      ["Lucía", "Navarro Gil", "es"],
      ["Raúl", "Navarro Soto", "es"],
      ["Concepción", "Ibáñez", "es"],
      ["Eusebio", "Prieto", "es"],
      ["Nuria", "Vidal", "es"],
      ["Amparo", "Cortés", "es"],
      ["Álvaro", "Sáez", "es"],
      ["Ana", "García", "es"],
    ],
  },
  {
    id: "lindenhof",
    name: "Praxis Lindenhof",
    city: "Berlin",
    country: "DE",
    timeZone: "Europe/Berlin",
    location: "lindenhof-berlin",
    openOn: NOT_ON_WEDNESDAYS,
    lateBookingsAt: ["10:00"],
    emailDomain: "lindenhof.example.org",
    mobile: (n) => `+4917139200${twoDigits(n)}`,
    national: (e164) => e164.replace(/^\+49(\d{3})/, "0$1 / "),
    landline: "+493023125321",
    practitioners: [["Katrin", "Weiß", "de"], ["Mehmet", "Yılmaz", "de"]],
    patients: [
      ["Jörg", "Müller", "de"],
      ["François", "Lefèvre", "fr"],
      ["Ayşe", "Yıldız", "de"],
      ["Ursula", "Schäfer", "de"],
      ["Annika", "Großmann", "de"],
      ["Chloé", "Dubois", "fr"],
      ["Emil", "Hoffmann", "de"],
      ["Sabine", "Hoffmann", "de"],
      ["Olena", "Kovalenko", "uk"],
      ["Horst", "Kühn", "de"],
      ["Birgit", "Vogel", "de"],
      ["Hannelore", "Brandt", "de"],
      ["Stefan", "Lorenz", "de"],
      ["Joerg", "Mueller", "de"],
    ],
  },
  {
    id: "maple",
    name: "Maple Health Center",
    city: "New York",
    country: "US",
    timeZone: "America/New_York",
    location: "maple-nyc",
    openOn: MONDAY_TO_SATURDAY,
    lateBookingsAt: ["11:00", "14:30"],
    emailDomain: "maple.example.com",
    mobile: (n) => `+1212555${String(100 + n).padStart(4, "0")}`,
    national: (e164) => e164.replace(/^\+1(\d{3})(\d{3})(\d{4})/, "($1) $2-$3"),
    landline: "+12125550171",
    practitioners: [["Denise", "Caldwell", "en"], ["Rafael", "Domínguez", "es"]],
    patients: [
      ["Jordan", "Miller", "en"],
      ["María", "Hernández", "es"],
      ["Renée", "Thibodeaux", "fr"],
      ["Walter", "Goldberg", "en"],
      ["Keisha", "Robinson", "en"],
      ["Jean-Baptiste", "Désir", "fr"],
      ["Mateo", "Vargas", "es"],
      ["Sofía", "Vargas", "es"],
      ["Grace", "Kim", "en"],
      ["Harold", "Jenkins", "en"],
      ["Tanya", "Petrova", "en"],
      ["Dorothy", "Sullivan", "en"],
      ["Marcus", "Greene", "en"],
      ["Jordan", "Miler", "en"],
    ],
  },
  {
    id: "rata",
    name: "Rātā Medical",
    city: "Auckland",
    country: "NZ",
    timeZone: "Pacific/Auckland",
    location: "rata-auckland",
    openOn: EVERY_DAY,
    lateBookingsAt: ["10:30", "13:00", "15:30"],
    emailDomain: "rata.example.org",
    mobile: (n) => `+642100002${twoDigits(n)}`,
    national: (e164) => e164.replace(/^\+64(\d{2})(\d{3})/, "0$1 $2 "),
    landline: "+6495550321",
    practitioners: [["Hēmi", "Parata", "en"], ["Joanna", "Fraser", "en"]],
    patients: [
      ["Māia", "Te Rangi", "en"],
      ["Oliver", "McKenzie", "en"],
      ["Sione", "Tau‘olunga", "en"],
      ["Beryl", "Hawkins", "en"],
      ["Wei", "Zhang", "en"],
      ["Aroha", "Ngāta", "en"],
      ["Finn", "Paterson", "en"],
      ["Kirsty", "Paterson", "en"],
      ["Tāne", "Walker", "en"],
      ["Clifford", "Burgess", "en"],
      ["Lani", "Fonoti", "en"],
      ["Heather", "Sinclair", "en"],
      ["Jack", "Thorne", "en"],
      ["Maia", "Te Rangi", "en"],
    ],
  },
];
