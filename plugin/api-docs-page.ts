// The page that shows the AsyncAPI document, drawn by AsyncAPI's own component.

/** Everything comes from this host, and nothing is run that is not in a file. */
export const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** Files of the component, by their names below the page. */
export const COMPONENT_FILES: ReadonlyMap<string, string> = new Map([
  ['component.js', 'browser/standalone/without-parser.js'],
  ['component.css', 'styles/default.min.css']
])

/** The page. `folder` leads from it to its files. */
export const page = (folder: string): string => `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>AsyncAPI</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${folder}page.css">
<link rel="stylesheet" href="${folder}component.css">
<script src="${folder}page.js" defer></script>
<script src="${folder}component.js" defer></script>
</head>
<body>
<main data-document="${folder}asyncapi.json"><noscript>This page needs JavaScript.</noscript></main>
</body>
</html>
`

export const STYLE = `body {
  margin: 0;
  font-family: system-ui, sans-serif;
}
`

export const SCRIPT = `'use strict'

// The component has a validator in it, which makes functions of text when it is loaded, and is not used. The policy of the page
// forbids that; so there is a function that does nothing in place of each.
globalThis.Function = new Proxy(Function, { construct: () => () => () => true })

// The component takes a parsed document: in place of each reference, the object that it leads to.
function resolveReferences (root) {
  const seen = new Set()
  const follow = value => {
    if (typeof value?.$ref !== 'string' || !value.$ref.startsWith('#/')) return value
    const target = value.$ref.slice(2).split('/').reduce((at, name) => at?.[name], root)
    return target === undefined || target === value ? value : follow(target)
  }
  const visit = object => {
    if (typeof object !== 'object' || object === null || seen.has(object)) return
    seen.add(object)
    for (const name of Object.keys(object)) {
      object[name] = follow(object[name])
      visit(object[name])
    }
  }
  visit(root)
}

// By these it tells which messages belong to which channels and operations.
function addIds ({ channels, operations }) {
  for (const parts of [channels, operations, ...Object.values(channels).map(({ messages }) => messages)]) {
    for (const [id, part] of Object.entries(parts)) part['x-parser-unique-object-id'] = id
  }
}

async function show (element) {
  const response = await fetch(element.dataset.document)
  if (!response.ok) throw new Error(\`HTTP \${response.status}\`)
  const description = await response.json()
  document.title = description.info.title
  resolveReferences(description)
  addIds(description)
  AsyncApiStandalone.render({ schema: { ...description, 'x-parser-spec-parsed': true }, config: { show: { sidebar: true }, expand: { messageExamples: true } } }, element)
}

document.addEventListener('DOMContentLoaded', () => {
  const element = document.querySelector('main')
  show(element).catch(error => { element.textContent = \`The document cannot be shown: \${error.message}\` })
})
`
