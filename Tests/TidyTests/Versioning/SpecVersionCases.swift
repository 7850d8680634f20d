import Testing

/// One change each to a small description, and what it is to a caller.
extension SpecVersionTests {
    static let base = """
        openapi: 3.1.0
        paths:
          /things/{id}:
            parameters:
              - { name: id, in: path, required: true, schema: { type: string } }
            post:
              operationId: changeThing
              x-required-scope: things:write
              parameters:
                - { name: limit, in: query, schema: { type: integer, minimum: 1, maximum: 100 } }
              requestBody:
                required: false
                content:
                  application/json:
                    schema:
                      type: object
                      additionalProperties: false
                      required: [name]
                      properties:
                        name: { type: string, maxLength: 64 }
                        color: { type: string, enum: [red, green] }
                        size: { type: integer }
              responses:
                "200":
                  description: Changed.
                  headers: { Location: { schema: { type: string } } }
                  content: { application/json: { schema: { $ref: "#/components/schemas/Thing" } } }
                "404": { description: "None." }
            delete:
              operationId: dropThing
              responses: { "204": { description: "Gone." } }
        components:
          schemas:
            Thing:
              allOf:
                - $ref: "#/components/schemas/Common"
                - type: object
                  required: [state]
                  properties:
                    state: { type: string, enum: [open, closed] }
                    kind: { const: thing }
                    parent: { $ref: "#/components/schemas/Thing" }
                    part: { oneOf: [{ $ref: "#/components/schemas/Common" }, { type: "null" }] }
            Common:
              type: object
              required: [id]
              properties: { id: { type: string, format: uuid }, note: { type: string } }
            Other: { type: object, properties: { other: { type: string } } }
        """

    struct Case: Sendable, CustomTestStringConvertible {
        let what: String
        let from: String
        let to: String
        let expected: [String]

        init(_ what: String, _ from: String, _ to: String, _ expected: String...) {
            (self.what, self.from, self.to, self.expected) = (what, from, to, expected)
        }
        var testDescription: String { what }
    }

    static let breaking: [Case] = [
        Case("an operation is removed", "    delete:\n      operationId", "    put:\n      operationId", "dropThing is gone"),
        Case("a path is renamed", "/things/{id}:", "/thing/{id}:", "dropThing is gone", "changeThing is gone"),
        Case("an operationId changes", "operationId: dropThing", "operationId: deleteThing", "dropThing has another operationId"),
        Case("a scope changes", "things:write", "things:admin", "changeThing needs the scope things:admin"),
        Case("a parameter goes", "name: limit", "name: count", "changeThing: limit is no longer taken"),
        Case("a parameter is required", "in: query, schema", "in: query, required: true, schema", "changeThing: limit is required now"),
        Case("a maximum falls", "maximum: 100", "maximum: 50", "changeThing: limit has a lower maximum"),
        Case("a minimum comes", "minimum: 1,", "minimum: 2,", "changeThing: limit has a higher minimum"),
        Case("a body is required", "        required: false", "        required: true", "changeThing needs a body now"),
        Case(
            "a media type goes", "application/json:\n            schema", "text/json:\n            schema",
            "changeThing no longer takes application/json"),
        Case("a request field is required", "required: [name]", "required: [name, size]", "changeThing: size is required now"),
        Case("a request field goes", "size: { type: integer }", "width: { type: integer }", "changeThing: size is no longer taken"),
        Case("a request field is retyped", "size: { type: integer }", "size: { type: string }", "changeThing: size has another type"),
        Case("a request enum is narrowed", "[red, green]", "[red]", "changeThing: color takes fewer values"),
        Case("a length is bounded", "maxLength: 64", "maxLength: 32", "changeThing: name has a lower maxLength"),
        Case("a pattern comes", "maxLength: 64", "maxLength: 64, pattern: \"^a\"", "changeThing: name has another pattern"),
        Case("a success goes", "\"200\":", "\"201\":", "changeThing no longer answers 200"),
        Case("a header goes", "headers: { Location", "headers: { Where", "changeThing: Location is no longer sent"),
        Case("a response field goes", "note: { type: string }", "remark: { type: string }", "changeThing: note is gone"),
        Case("a response field is retyped", "note: { type: string }", "note: { type: integer }", "changeThing: note has another type"),
        Case(
            "a response field may be null", "note: { type: string }", "note: { type: [string, \"null\"] }",
            "changeThing: note has another type"),
        Case("a response field may be absent", "required: [state]", "required: []", "changeThing: state may be absent now"),
        Case("a format changes", "format: uuid", "format: uri", "changeThing: id has another format"),
        Case("a constant changes", "const: thing", "const: item", "changeThing: kind has another value"),
        Case(
            "a variant goes", "{ $ref: \"#/components/schemas/Common\" }, { type: \"null\" }",
            "{ $ref: \"#/components/schemas/Other\" }, { type: \"null\" }", "changeThing: part is never #/components/schemas/Common now"),
        Case(
            "a variant of another type comes", "{ type: \"null\" }]", "{ type: \"null\" }, { type: string }]",
            "changeThing: part may be string now"),
    ]

    static let allowed: [Case] = [
        Case(
            "an operation comes", "    delete:\n      operationId: dropThing",
            "    put:\n      operationId: putThing\n      responses: {}\n    delete:\n      operationId: dropThing"),
        Case(
            "an optional parameter comes", "        - { name: limit",
            "        - { name: from, in: query, schema: { type: string } }\n        - { name: limit"),
        Case("a maximum rises", "maximum: 100", "maximum: 1000"),
        Case(
            "an optional request field comes", "size: { type: integer }",
            "size: { type: integer }\n                weight: { type: integer }"),
        Case("a request enum is widened", "[red, green]", "[red, green, blue]"),
        Case("a request field may be null", "size: { type: integer }", "size: { type: [integer, \"null\"] }"),
        Case("a request field takes any number", "size: { type: integer }", "size: { type: number }"),
        Case("a response field comes", "note: { type: string }", "note: { type: string }, more: { type: string }"),
        Case("a response enum is widened", "[open, closed]", "[open, closed, lost]"),
        Case("a response field is always there", "required: [state]", "required: [state, kind]"),
        Case("a kind of object comes", "{ type: \"null\" }]", "{ type: \"null\" }, { $ref: \"#/components/schemas/Other\" }]"),
        Case("a failure comes and another goes", "\"404\":", "\"410\":"),
        Case("a scope is no longer needed", "      x-required-scope: things:write\n", ""),
        Case("a text is said better", "description: Changed.", "description: It is changed."),
    ]
}
