import JSON
import TestContract
import Testing

/// The description by itself: its references lead somewhere, its examples are what they are examples of.
struct ExampleTests {
    @Test func `every example fits its schema`() throws {
        let contract = try Contract.shared
        let examples = contract.document.examples
        #expect(examples.count >= 100)
        for (place, schema, example) in examples {
            // The examples are part of the schema that they are taken from, and say nothing about themselves.
            for violation in try contract.violations(of: example.json, schema: schema) { Issue.record("\(place): \(violation)") }
        }
    }

    @Test func `an example that does not fit is found`() throws {
        let document = try ContractDocument(
            yaml: """
                paths: {}
                components:
                  schemas:
                    Name: { type: string, maxLength: 3, examples: [abc, abcd] }
                    Other: { type: object, properties: { name: { $ref: "#/components/schemas/Name" } }, examples: [{ name: 7 }] }
                """)
        let contract = Contract(document)
        let wrong = try document.examples.filter { try !contract.violations(of: $0.example.json, schema: $0.schema).isEmpty }
        #expect(wrong.map(\.place) == ["#/components/schemas/Name/examples/1", "#/components/schemas/Other/examples/0"])
    }

    @Test func `every request body, and everything that an answer can hold, has an example`() throws {
        let document = try ContractDocument()
        for operation in document.operations {
            guard let reference = operation.bodySchema?["$ref"]?.string else {
                #expect(operation.bodySchema == nil, "\(operation.operationID): its body's schema is no component")
                continue
            }
            #expect(document.resolve(reference)?["examples"]?.elements.isEmpty == false, "\(reference) has no example")
        }
        var answers = 0
        for path in document.root["paths"]?.members ?? [] {
            for operation in path.value.members {
                for response in operation.value["responses"]?.members ?? [] where response.key.hasPrefix("2") {
                    let answer = response.value["$ref"]?.string.flatMap(document.resolve) ?? response.value
                    for media in answer["content"]?.members ?? [] where ["application/json", "text/event-stream"].contains(media.key) {
                        let schema = media.value["schema"]?["$ref"]?.string.flatMap(document.resolve) ?? media.value["schema"]
                        let hasOne = schema?["examples"] != nil || media.value["examples"] != nil || media.value["example"] != nil
                        #expect(hasOne, "\(operation.key) \(path.key), \(response.key): \(media.key) has no example")
                        answers += 1
                    }
                }
            }
        }
        #expect(answers >= 50)
    }

    @Test func `every reference leads somewhere, and every component is used`() throws {
        let document = try ContractDocument()
        var used: Set<String> = []
        func walk(_ value: SpecValue, _ place: String) {
            if let reference = value["$ref"]?.string {
                used.insert(reference)
                #expect(document.resolve(reference) != nil, "\(place): \(reference)")
            }
            for member in value["mapping"]?.members ?? [] {
                let target = member.value.string ?? ""
                used.insert(target)
                #expect(document.resolve(target) != nil, "\(place): \(target)")
            }
            for member in value.members { walk(member.value, place + "/" + member.key) }
            for (index, element) in value.elements.enumerated() { walk(element, "\(place)/\(index)") }
        }
        walk(document.root, "#")
        // Named by the prose, and asked by the tests of the socket.
        used.insert("#/components/schemas/DeviceCloseCode")
        // What any result may be: a schema that said so would say nothing.
        used.insert("#/components/schemas/CutResult")
        for kind in document.root["components"]?.members ?? [] where kind.key != "securitySchemes" {
            for component in kind.value.members {
                let name = "#/components/\(kind.key)/\(component.key)"
                #expect(used.contains(name), "\(name) is used nowhere")
            }
        }
    }

    /// What is said in two places is soon said differently: it belongs into a component.
    @Test func `no schema is written down twice`() throws {
        let document = try ContractDocument()
        let copies = Self.copies(in: document.root)
        for (text, places) in copies { Issue.record("\(places.joined(separator: ", ")) are the same schema: \(text)") }
    }

    @Test func `a copy of a schema is found`() throws {
        let document = try ContractDocument(
            yaml: """
                paths:
                  /a: { get: { operationId: a, parameters: [{ name: a, in: query, schema: { type: string, enum: [x, y] } }], responses: {} } }
                components:
                  schemas:
                    A: { type: object, properties: { a: { type: string, enum: [x, y], description: "Described otherwise." } } }
                    B: { type: object, properties: { a: { type: string, format: uuid }, b: { type: string, format: uuid } } }
                """)
        #expect(Self.copies(in: document.root).map { $0.places.count } == [2])
    }

    /// Schemas below `schema`, `properties`, `items` and the like, without what only describes them.
    private static func copies(in root: SpecValue) -> [(text: String, places: [String])] {
        var places: [String: [String]] = [:]
        func schema(_ value: SpecValue, _ place: String) {
            guard value.isObject else { return }
            if isWorthAComponent(value) {
                let bare = ["description", "examples", "default", "title"].reduce(value) { $0.with($1, nil) }
                let sorted = SpecValue.object(bare.members.sorted { $0.key < $1.key })
                places[sorted.json.string, default: []].append(place)
            }
            for member in value.members {
                let inner = place + "/" + member.key
                switch member.key {
                case "properties", "patternProperties":
                    for property in member.value.members { schema(property.value, inner + "/" + property.key) }
                case "items", "additionalProperties", "propertyNames", "not": schema(member.value, inner)
                case "allOf", "oneOf", "anyOf":
                    for (index, element) in member.value.elements.enumerated() { schema(element, "\(inner)/\(index)") }
                default: break
                }
            }
        }
        func walk(_ value: SpecValue, _ place: String) {
            for member in value.members where !["examples", "example"].contains(member.key) {
                let inner = place + "/" + member.key
                if member.key == "schema" {
                    schema(member.value, inner)
                } else if inner == "#/components/schemas" {
                    for component in member.value.members { schema(component.value, inner + "/" + component.key) }
                } else {
                    walk(member.value, inner)
                }
            }
            for (index, element) in value.elements.enumerated() { walk(element, "\(place)/\(index)") }
        }
        walk(root, "#")
        return places.filter { $0.value.count > 1 }.map { ($0.key, $0.value) }
    }

    /// A type with a format, numbers between the same bounds, or a reference that may be null, are no copies of each other.
    private static func isWorthAComponent(_ schema: SpecValue) -> Bool {
        if schema["$ref"] != nil { return false }
        if case .array(let choices)? = schema["oneOf"] {
            return choices.count > 2 || choices.contains { $0["$ref"] == nil && $0["type"]?.string != "null" }
        }
        let bounds = ["minLength", "maxLength", "minItems", "maxItems"].count { schema[$0] != nil }
        return schema["enum"] != nil || schema["pattern"] != nil || schema["properties"] != nil || schema["allOf"] != nil || bounds > 1
    }
}
