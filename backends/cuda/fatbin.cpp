// The module of kernels as bytes of this library: kernels.cu as the toolkit's compiler left it, in SLUICE_FATBIN.
asm(R"(
  .section .rodata
  .balign 64
  .global sluice_cuda_fatbin
  .hidden sluice_cuda_fatbin
  .type sluice_cuda_fatbin, @object
sluice_cuda_fatbin:
  .incbin ")" SLUICE_FATBIN R"("
  .size sluice_cuda_fatbin, . - sluice_cuda_fatbin
  .byte 0
  .text
)");
