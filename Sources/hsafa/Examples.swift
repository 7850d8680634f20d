/// What `hsafa init` writes; `examples/demo` holds the same.
enum Examples {
    /// - Parameter name: already checked, so it needs no escaping.
    static func agent(name: String) -> String {
        """
        {
          "version": "1.0",
          "agent": {
            "name": "\(name)",
            "description": "Reads notes on an enrolled device.",
            "system": "You help with the files of the user's device."
          },
          "model": {
            "provider": "simulated",
            "name": "simulated",
            "script": {
              "steps": [
                {
                  "text": "I will ask the device what it is, and read its notes.",
                  "chunkCharacters": 6,
                  "delayMilliseconds": 30,
                  "toolCalls": [
                    { "name": "uname", "arguments": {} },
                    { "name": "fs.read", "arguments": { "path": "notes.txt" } }
                  ]
                },
                {
                  "text": "The device answered: {{lastToolResult}}\\nThat is all I know.",
                  "chunkCharacters": 6,
                  "delayMilliseconds": 30
                }
              ]
            }
          },
          "loop": { "maxSteps": 4, "toolChoice": "auto" },
          "tools": [
            {
              "name": "uname",
              "description": "Says what system the device runs.",
              "inputSchema": { "type": "object", "properties": {}, "additionalProperties": false },
              "target": "device",
              "device": { "labels": { "zone": "demo" } },
              "timeoutSeconds": 60
            },
            {
              "name": "fs.read",
              "description": "Reads a text file of the device's data folder.",
              "inputSchema": {
                "type": "object",
                "properties": { "path": { "type": "string", "minLength": 1, "maxLength": 1024 } },
                "required": ["path"],
                "additionalProperties": false
              },
              "target": "device",
              "device": { "labels": { "zone": "demo" } },
              "timeoutSeconds": 60
            }
          ]
        }

        """
    }

    static let tools = """
        {
          "tools": [
            {
              "name": "uname",
              "description": "Says what system the device runs.",
              "inputSchema": { "type": "object", "properties": {}, "additionalProperties": false },
              "run": { "command": ["uname", "-a"], "timeoutSeconds": 5, "maxOutputBytes": 65536 }
            },
            {
              "name": "fs.read",
              "description": "Reads a text file of the device's data folder.",
              "inputSchema": {
                "type": "object",
                "properties": { "path": { "type": "string", "minLength": 1, "maxLength": 1024 } },
                "required": ["path"],
                "additionalProperties": false
              },
              "readFile": { "root": "./data", "maxBytes": 65536 }
            }
          ]
        }

        """

    static let notes = """
        Water the plants on Tuesday.
        The spare key is with the neighbour.

        """
}
