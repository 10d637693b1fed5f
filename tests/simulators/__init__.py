"""The real system's services on loopback: four engines, the metadata server, tokens for key files, storage.

`world.open_world` brings all of them up; `service` is what they have in common; `when`, `do` and `broken` are the words
in which a test says what goes wrong; `contract` holds what the engines answer when nothing does.
"""
