// Stacks' memory, used again by the next world on the same thread: mapping fresh pages would cost more than the world itself.
using System.Runtime.InteropServices;
using Peregrine.Core.Memory;

namespace Peregrine.Simulation.Hosts;

/// <summary>Native memory for stacks. Not for several threads.</summary>
public sealed unsafe class RegionPool : IDisposable
{
    private readonly List<(nint Address, nuint Length)> _free = [];

    /// <summary>Zeroed memory of at least so many bytes.</summary>
    public MemoryRegion Rent(nuint bytes)
    {
        var best = -1;
        for (var i = 0; i < _free.Count; i++)
        {
            if (_free[i].Length >= bytes && (best < 0 || _free[i].Length < _free[best].Length)) best = i;
        }
        (nint Address, nuint Length) block;
        if (best >= 0)
        {
            block = _free[best];
            _free.RemoveAt(best);
        }
        else
        {
            // A little more, so that the next world's stack, which is nearly as large, fits too.
            var length = (bytes + (1 << 18) - 1) >> 18 << 18;
            block = ((nint)NativeMemory.AlignedAlloc(length, 4096), length);
        }
        NativeMemory.Clear((void*)block.Address, bytes);
        return new MemoryRegion(block.Address, block.Length, "simulated", -1, (_, _) => _free.Add(block));
    }

    /// <summary>Gives all memory back to the system. Nothing rented may be in use.</summary>
    public void Dispose()
    {
        foreach (var (address, _) in _free) NativeMemory.AlignedFree((void*)address);
        _free.Clear();
    }
}
