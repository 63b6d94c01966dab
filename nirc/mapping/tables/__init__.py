"""Multicast routing tables: built from trees and keys, minimised, and verified."""
