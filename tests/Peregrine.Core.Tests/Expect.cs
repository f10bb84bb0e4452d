// Expected throws. The Arm64 runtime that runs by emulation dies of any managed exception, even `throw` beside its `catch`, so where
// PEREGRINE_EMULATED is set these are left out; nothing else of a test is.
namespace Peregrine.Core.Tests;

internal static class Expect
{
    /// <summary>Whether exceptions can be thrown and caught here.</summary>
    public static bool CanThrow { get; } = Environment.GetEnvironmentVariable("PEREGRINE_EMULATED") != "1";

    /// <summary>Asserts that an action throws exactly this, where throwing is possible.</summary>
    public static void Throw<T>(Action action) where T : Exception
    {
        if (CanThrow) Assert.Throws<T>(action);
    }
}
