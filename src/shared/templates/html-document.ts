/**
 * The page around an email's HTML part.
 *
 * It sets no colours, so that a mail program's dark mode works, and loads nothing, so that opening it tells nobody.
 */
export function htmlDocument(
  { locale, title, body }: { locale: string; title: string; body: string },
): string {
  return `<!doctype html>
<html lang="${escapeHtml(locale)}" dir="auto">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
</head>
<body style="max-width: 36em; margin: 0 auto; padding: 1em; font: 1.1em/1.5 system-ui, sans-serif">
${body}
</body>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
