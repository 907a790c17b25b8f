/**
 * The OpenAPI v2 document (Swagger 2.0) out of the parts of v3, for older tools and generators of clients. It can say
 * less: no alternatives, so what is a number or a text is a text, as Kubernetes' own document has it.
 */
import { componentsFor, type Json } from './openapi-components.ts'
import { pathsOf } from './openapi-paths.ts'
import type { ServedKind } from '../served.ts'

/** The document of all kinds. `inVersions`: one list of kinds a group version. */
export const openApiV2 = (inVersions: readonly (readonly ServedKind[])[], info: Json): Json => ({
  swagger: '2.0',
  info,
  paths: Object.assign({}, ...inVersions.map((kinds) => mapped(pathsOf(kinds), pathItem))) as Json,
  definitions: mapped(componentsFor(inVersions.flat(), '#/definitions/'), schemaOf),
  securityDefinitions: {
    BearerToken: {
      type: 'apiKey',
      description: 'Bearer token',
      name: 'authorization',
      in: 'header',
    },
  },
  security: [{ BearerToken: [] }],
})

const isJson = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const jsonOf = (value: unknown): Json => (isJson(value) ? value : {})

const mapped = (all: Json, change: (each: Json) => Json): Json =>
  Object.fromEntries(Object.entries(all).map(([name, each]) => [name, change(jsonOf(each))]))

const pathItem = ({ parameters, ...operations }: Json): Json => ({
  ...mapped(operations, operationOf),
  ...(Array.isArray(parameters) && { parameters: parameters.map(parameterOf) }),
})

function operationOf({ requestBody, parameters, responses, ...rest }: Json): Json {
  const { content, required } = jsonOf(requestBody)
  const taken = Object.entries(jsonOf(content))
  const [first] = taken
  const body = first && {
    name: 'body',
    in: 'body',
    ...(required === true && { required }),
    schema: schemaOf(jsonOf(jsonOf(first[1])['schema'])),
  }
  return {
    ...rest,
    consumes: taken.length > 0 ? taken.map(([type]) => type) : ['*/*'],
    produces: ['application/json', 'application/yaml'],
    schemes: ['https'],
    parameters: [
      ...(body ? [body] : []),
      ...(Array.isArray(parameters) ? parameters : []).map(parameterOf),
    ],
    responses: mapped(jsonOf(responses), responseOf),
  }
}

/** Type and format of a parameter stand beside its name, not in a schema. */
const parameterOf = (parameter: unknown): Json => {
  const { schema, ...rest } = jsonOf(parameter)
  return { ...rest, ...jsonOf(schema) }
}

function responseOf({ content, ...rest }: Json): Json {
  const [first] = Object.values(jsonOf(content))
  const { schema } = jsonOf(first)
  return { ...rest, ...(isJson(schema) && { schema: schemaOf(schema) }) }
}

/** A schema without what v2 does not know; references lead to the definitions. */
function schemaOf(schema: Json): Json {
  const { oneOf, anyOf, nullable: _, properties, items, additionalProperties, ...rest } = schema
  const { $ref, allOf } = rest
  return {
    ...rest,
    ...((oneOf ?? anyOf) !== undefined && { type: 'string' }),
    ...(typeof $ref === 'string' && {
      $ref: $ref.replace('#/components/schemas/', '#/definitions/'),
    }),
    ...(Array.isArray(allOf) && { allOf: allOf.map((each) => schemaOf(jsonOf(each))) }),
    ...(properties !== undefined && { properties: mapped(jsonOf(properties), schemaOf) }),
    ...(isJson(items) && { items: schemaOf(items) }),
    ...(additionalProperties !== undefined && {
      additionalProperties: isJson(additionalProperties)
        ? schemaOf(additionalProperties)
        : additionalProperties,
    }),
  }
}
