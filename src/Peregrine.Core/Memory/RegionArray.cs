// A table of unmanaged entries cut from a region: bounds-checked like an array, but outside the collector's world.
// Not a container: it neither grows nor knows which entries are in use.
using System.Runtime.CompilerServices;

namespace Peregrine.Core.Memory;

/// <summary>A fixed table of unmanaged entries, zeroed at the start.</summary>
internal readonly unsafe struct RegionArray<T> where T : unmanaged
{
    private readonly T* _items;

    public RegionArray(MemoryRegion region, int length)
    {
        Length = length;
        _items = (T*)region.Take((nuint)length * (nuint)sizeof(T));
    }

    public int Length { get; }

    public ref T this[int index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            if ((uint)index >= (uint)Length) ThrowOutOfRange(index);
            return ref _items[index];
        }
    }

    /// <summary>Bytes of the region that such a table takes, its alignment included.</summary>
    public static nuint BytesFor(int length) => ((nuint)length * (nuint)sizeof(T)) + 128;

    private static void ThrowOutOfRange(int index) => throw new ArgumentOutOfRangeException(nameof(index), index, "No such entry.");
}
