import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formOf, formProblem } from '../../../src/domain/secret-form.ts'
import { FROM_SECRETS } from '../../../src/limits.ts'

test.each([
  ['spec.tokenSecretRef', 'Header'],
  ['spec.rest.authorizationSecretRef', 'Header'],
  ['http.authorizationSecretRef', 'Header'],
  ['nats.usernameSecretRef', 'Line'],
  ['redis.passwordSecretRef', 'Line'],
  ['http.tls.caSecretRef', 'File'],
  ['nats.credentialsSecretRef', 'File'],
])('%s is a %s', (field, form) => expect(formOf(field)).toBe(form))

describe('a value', () => {
  test.each([
    'line-1-of-a-private-key\nline-2-of-a-private-key',
    'with\ra return',
    'with\0a NUL',
    'with\x1bescape',
    'with a del\x7f',
  ])('%j is neither a header nor a line', (value) => {
    expect(formProblem(value, 'Header')).toBeDefined()
    expect(formProblem(value, 'Line')).toBeDefined()
    expect(formProblem(value, 'File')).toBeUndefined()
  })

  test('of another script is a password, and no header', () => {
    expect(formProblem('пароль', 'Line')).toBeUndefined()
    expect(formProblem('пароль', 'Header')).toBeDefined()
  })

  test('has a bound, whatever it is for', () => {
    for (const form of ['Header', 'Line'] as const) {
      expect(formProblem('a'.repeat(FROM_SECRETS.valueBytes), form)).toBeUndefined()
      expect(formProblem('a'.repeat(FROM_SECRETS.valueBytes + 1), form)).toBeDefined()
    }
    expect(formProblem('a'.repeat(FROM_SECRETS.fileBytes), 'File')).toBeUndefined()
    expect(formProblem('a'.repeat(FROM_SECRETS.fileBytes + 1), 'File')).toBeDefined()
  })

  test('that passes as a header is taken by every HTTP client', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (value) => {
        if (formProblem(value, 'Header') === undefined)
          expect(() => new Headers({ authorization: value })).not.toThrow()
      }),
    )
  })

  test('is never part of what is said of it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 8 }), (value) => {
        for (const form of ['Header', 'Line', 'File'] as const)
          expect(formProblem(`${value}\n`, form) ?? '').not.toContain(value)
      }),
    )
  })
})
