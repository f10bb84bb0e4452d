// The generator of a conversation: everything that happens in it follows from the seed.
namespace Peregrine.Fuzz.Tests;

internal sealed class FuzzRandom(ulong seed)
{
    private ulong _state = seed * 0x9E3779B97F4A7C15 + 0x1234567;

    public ulong Next64()
    {
        // SplitMix64.
        _state += 0x9E3779B97F4A7C15;
        var z = _state;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    public int Next(int bound) => (int)(Next64() % (uint)bound);

    public bool Chance(int percent) => Next(100) < percent;

    /// <summary>Small numbers often, large ones sometimes.</summary>
    public int Size(int max) => Next(1 + (max >> Next(12)));

    public T Pick<T>(params ReadOnlySpan<T> items) => items[Next(items.Length)];
}
