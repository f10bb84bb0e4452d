// A stack's one generator of chance: xoshiro256** (Blackman and Vigna), its state filled by splitmix64 from one seed.
// Not for secrets: those are StackSecrets. The same seed gives the same run on every machine.
using System.Numerics;

namespace Peregrine.Core;

/// <summary>A seeded generator: one a stack, used by its thread only.</summary>
internal sealed class StackRandom
{
    private ulong _s0, _s1, _s2, _s3;

    /// <summary>Makes a generator; every seed is good, 0 too.</summary>
    public StackRandom(ulong seed)
    {
        _s0 = SplitMix64(ref seed);
        _s1 = SplitMix64(ref seed);
        _s2 = SplitMix64(ref seed);
        _s3 = SplitMix64(ref seed);
    }

    /// <summary>The next 64 random bits.</summary>
    public ulong NextUInt64()
    {
        var result = BitOperations.RotateLeft(_s1 * 5, 7) * 9;
        var t = _s1 << 17;
        _s2 ^= _s0;
        _s3 ^= _s1;
        _s1 ^= _s2;
        _s0 ^= _s3;
        _s2 ^= t;
        _s3 = BitOperations.RotateLeft(_s3, 45);
        return result;
    }

    /// <summary>The next 32 random bits.</summary>
    public uint NextUInt32() => (uint)(NextUInt64() >> 32);

    /// <summary>A number from 0 to <paramref name="exclusiveMax"/> − 1, each equally likely; 0 when the bound is 0.</summary>
    public uint Next(uint exclusiveMax)
    {
        // Lemire's multiplication: the high half of the product is the result, and products whose low half falls into the short
        // remainder are drawn again. Less than one draw in two is refused, so 64 tries fail once in 2^64 runs; then bias is harmless.
        var product = (ulong)NextUInt32() * exclusiveMax;
        if ((uint)product >= exclusiveMax) return (uint)(product >> 32);
        var refuse = exclusiveMax == 0 ? 0 : (uint)(0 - exclusiveMax) % exclusiveMax;
        for (var tries = 0; (uint)product < refuse && tries < 64; tries++) product = (ulong)NextUInt32() * exclusiveMax;
        return (uint)(product >> 32);
    }

    /// <summary>One step of splitmix64, which turns any seed into well-mixed words.</summary>
    internal static ulong SplitMix64(ref ulong state)
    {
        state += 0x9E37_79B9_7F4A_7C15;
        var z = state;
        z = (z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9;
        z = (z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB;
        return z ^ (z >> 31);
    }
}
