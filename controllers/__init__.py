"""The redirect: bindings, decisions, flow rules, and the OpenFlow application that carries them out."""
