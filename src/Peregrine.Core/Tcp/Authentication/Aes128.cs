// The AES cipher (FIPS 197) with a key of 128 bits, one block at a time, for AES-CMAC. By the processor's instructions where it has them, which take
// the same time for every key; else by a table, which does not.
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using ArmAes = System.Runtime.Intrinsics.Arm.Aes;
using X86Aes = System.Runtime.Intrinsics.X86.Aes;

namespace Peregrine.Core.Tcp.Authentication;

/// <summary>An expanded key.</summary>
internal struct Aes128
{
    internal const int BlockLength = 16;

    private const int Rounds = 10;

    private RoundKeys _keys;

    [InlineArray((Rounds + 1) * BlockLength)]
    private struct RoundKeys
    {
        private byte _first;
    }

    // FIPS 197 §5.1.1.
    private static ReadOnlySpan<byte> SubstitutionBox =>
    [
        0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76,
        0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0,
        0xb7, 0xfd, 0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15,
        0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75,
        0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84,
        0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf,
        0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8,
        0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5, 0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2,
        0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
        0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb,
        0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79,
        0xe7, 0xc8, 0x37, 0x6d, 0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08,
        0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a,
        0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e,
        0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
        0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f, 0xb0, 0x54, 0xbb, 0x16,
    ];

    [UnscopedRef]
    private Span<byte> Keys => _keys;

    /// <summary>Expands a key of 16 bytes (FIPS 197 §5.2).</summary>
    internal void Begin(ReadOnlySpan<byte> key)
    {
        key[..BlockLength].CopyTo(Keys);
        byte constant = 1;
        for (var at = BlockLength; at < Keys.Length; at += 4)
        {
            var before = Keys.Slice(at - 4, 4);
            var back = Keys.Slice(at - BlockLength, 4);
            if (at % BlockLength == 0)
            {
                Keys[at] = (byte)(back[0] ^ SubstitutionBox[before[1]] ^ constant);
                for (var i = 1; i < 4; i++) Keys[at + i] = (byte)(back[i] ^ SubstitutionBox[before[(i + 1) & 3]]);
                constant = Double(constant);
            }
            else
            {
                for (var i = 0; i < 4; i++) Keys[at + i] = (byte)(back[i] ^ before[i]);
            }
        }
    }

    /// <summary>Enciphers a block of 16 bytes in its place.</summary>
    internal void Encrypt(Span<byte> block)
    {
        if (X86Aes.IsSupported) EncryptX86(block);
        else if (ArmAes.IsSupported) EncryptArm(block);
        else EncryptByTable(block);
    }

    /// <summary>As <see cref="Encrypt"/>, on any processor.</summary>
    internal void EncryptByTable(Span<byte> block)
    {
        AddRoundKey(block, 0);
        for (var round = 1; round <= Rounds; round++)
        {
            SubstituteAndShift(block);
            if (round < Rounds) MixColumns(block);
            AddRoundKey(block, round);
        }
    }

    private void EncryptX86(Span<byte> block)
    {
        var state = Vector128.Create<byte>(block) ^ RoundKey(0);
        for (var round = 1; round < Rounds; round++) state = X86Aes.Encrypt(state, RoundKey(round));
        X86Aes.EncryptLast(state, RoundKey(Rounds)).CopyTo(block);
    }

    // Arm's instruction adds the key before it substitutes, so keys stand one round earlier.
    private void EncryptArm(Span<byte> block)
    {
        var state = Vector128.Create<byte>(block);
        for (var round = 0; round < Rounds - 1; round++) state = ArmAes.MixColumns(ArmAes.Encrypt(state, RoundKey(round)));
        (ArmAes.Encrypt(state, RoundKey(Rounds - 1)) ^ RoundKey(Rounds)).CopyTo(block);
    }

    private Vector128<byte> RoundKey(int round) => Vector128.Create<byte>(Keys.Slice(round * BlockLength, BlockLength));

    private void AddRoundKey(Span<byte> state, int round)
    {
        for (var i = 0; i < BlockLength; i++) state[i] ^= Keys[round * BlockLength + i];
    }

    // FIPS 197 §5.1.1 and §5.1.2: byte r of column c comes from column c + r.
    private static void SubstituteAndShift(Span<byte> state)
    {
        Span<byte> before = stackalloc byte[BlockLength];
        state.CopyTo(before);
        for (var i = 0; i < BlockLength; i++) state[i] = SubstitutionBox[before[(i + 4 * (i & 3)) & 15]];
    }

    // FIPS 197 §5.1.3: each column times {03}x³ + {01}x² + {01}x + {02}.
    private static void MixColumns(Span<byte> state)
    {
        for (var at = 0; at < BlockLength; at += 4)
        {
            var column = state.Slice(at, 4);
            var (first, all) = (column[0], (byte)(column[0] ^ column[1] ^ column[2] ^ column[3]));
            for (var i = 0; i < 4; i++)
            {
                var next = i == 3 ? first : column[i + 1];
                column[i] ^= (byte)(all ^ Double((byte)(column[i] ^ next)));
            }
        }
    }

    private static byte Double(byte value) => (byte)((value << 1) ^ ((value >> 7) * 0x1B));
}
