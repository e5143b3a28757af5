// Asks the API server, as the operator, whether it has the CRD and lets the operator do what it must. Reads only.
import { readFileSync } from 'node:fs'

const { API_SERVER, TOKEN_FILE, RULES, NAMESPACES } = process.env
const token = readFileSync(TOKEN_FILE, 'utf8').trim()

async function call(path, body) {
  const answer = await fetch(API_SERVER + path, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  })
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${(await answer.text()).slice(0, 500)}`)
  return await answer.json()
}

async function allowed(resourceAttributes) {
  const review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes },
  }
  return (await call('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', review)).status.allowed
}

const { resources: served } = await call('/apis/shardcluster.dev/v1alpha1')
console.log(`The API server has ${served.map(({ name }) => name).join(', ')}.`)

let questions = 0
const missing = []
// An empty namespace is all of them.
for (const namespace of NAMESPACES ? NAMESPACES.split(',') : ['']) {
  for (const { apiGroups, resources, verbs } of JSON.parse(RULES)) {
    for (const [group, path, verb] of apiGroups.flatMap((g) => resources.flatMap((r) => verbs.map((v) => [g, r, v])))) {
      const [resource, subresource = ''] = path.split('/')
      questions += 1
      if (await allowed({ namespace, verb, group, resource, subresource })) continue
      missing.push(`${verb} ${path}${group && `.${group}`} in ${namespace || 'all namespaces'}`)
    }
  }
}
for (const line of missing) console.log(`The operator may not ${line}.`)
console.log(`${questions - missing.length} of ${questions} rights are there.`)
process.exitCode = missing.length > 0 ? 1 : 0
