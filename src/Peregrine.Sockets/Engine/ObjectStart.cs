// Has an object that will be needed soon load, by reading the first byte behind its header: every object has one, be it a field or filling.
using System.Runtime.CompilerServices;

namespace Peregrine.Sockets;

internal static class ObjectStart
{
    /// <summary>Reads it; null reads nothing. The value means nothing, but must be used, or the compiler drops the load.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static int Load(object? o) => o == null ? 0 : Unsafe.As<Any>(o).First;

    private sealed class Any
    {
        internal readonly byte First = 1;
    }
}
