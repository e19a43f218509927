"""The log as a file: one line an event, `{"position":n,"event":{…}}`, the event's bytes exactly as the log holds them.

A document that does not fit one line unchanged carries its bytes beside it, in base64:
`{"position":n,"event":{…},"bytes":"…"}`. So any tool can read an export, and `import` restores every byte.
"""
