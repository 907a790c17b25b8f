/**
 * Data that are written as base64: `data_base64` in JSON, and whatever an event of CloudEvents 0.3 says it is of (0.3,
 * "datacontentencoding"). Here the bytes are what counts, so they are decoded once and the note goes.
 */
import { CloudEventError, type AttributeValue } from './cloud-event.ts'

/** Whether the data are coded; the attribute that says so is removed. Later versions have no such attribute. */
export function takeCoding(attributes: Record<string, AttributeValue>): boolean {
  const coding = attributes['datacontentencoding']
  if (typeof coding !== 'string' || attributes['specversion'] !== '0.3') return false
  if (coding.trim().toLowerCase() !== 'base64') return false
  delete attributes['datacontentencoding']
  return true
}

/** In either alphabet, padded or not, in lines or not. Throws CloudEventError. */
export function decodeBase64(name: string, value: unknown): Buffer {
  if (typeof value !== 'string') throw notBase64(name)
  const text = value.replaceAll(/[\r\n]+/g, '')
  const characters = text.replace(/=+$/, '').length
  const padding = text.length - characters
  const isWhole = characters % 4 !== 1 && (padding === 0 || (padding <= 2 && text.length % 4 === 0))
  if (!isWhole || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) throw notBase64(name)
  return Buffer.from(text, 'base64')
}

const notBase64 = (name: string): CloudEventError => new CloudEventError(`${name}: not base64`)
