"""Writes reference.gguf with the Python package `gguf`: every kind of metadata value and a few tensors, as an
independent program encodes them. model_gguf_test.cpp knows the values."""
import numpy as np
import gguf

w = gguf.GGUFWriter("reference.gguf", "llama")
w.add_uint8("t.u8", 200)
w.add_int8("t.i8", -100)
w.add_uint16("t.u16", 60000)
w.add_int16("t.i16", -30000)
w.add_uint32("t.u32", 4000000000)
w.add_int32("t.i32", -2000000000)
w.add_float32("t.f32", 0.1)
w.add_bool("t.yes", True)
w.add_bool("t.no", False)
w.add_string("t.text", "h\u00e9llo \u2581")
w.add_string("t.empty", "")
w.add_uint64("t.u64", 2**63 + 5)
w.add_int64("t.i64", -(2**62))
w.add_float64("t.f64", 0.1)
w.add_array("t.ints", [1, -2, 3])
w.add_array("t.floats", [0.5, -1.5])
w.add_array("t.texts", ["a", "", "\u2581b"])
w.add_array("t.bools", [True, False, True])
x = np.arange(6 * 64, dtype=np.float32).reshape(6, 64) / 8 - 20
w.add_tensor("f32", x)
w.add_tensor("f16", x[:3].astype(np.float16))
w.add_tensor("cube", np.arange(24, dtype=np.float32).reshape(2, 3, 4))
w.add_tensor("q8", gguf.quants.quantize(x, gguf.GGMLQuantizationType.Q8_0), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
w.add_tensor("vector", np.array([1.5, 2.5, 3.5], dtype=np.float32))
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
