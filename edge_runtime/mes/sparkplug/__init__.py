"""The optional Sparkplug B mirror: the station as an edge node, its inspection as a device.

A mirror and no more: Sparkplug demands QoS 0 and a clean session, so what is lost on the way stays
lost. The JSON topics of `edge_runtime.mes.topics` are the system of record.
"""
