"""Multicast routing tables: built from trees and keys, made small, and proven by following every packet."""
