// What a judge says when a world is not as it must be: which world, when, where, and what was wrong.
using System.Globalization;
using Peregrine.Core.Time;

namespace Peregrine.Simulation;

/// <summary>A judge has found something wrong in a world.</summary>
public sealed class SimulationFailureException : Exception
{
    /// <summary>Makes a failure.</summary>
    /// <param name="judge">The judge's name.</param>
    /// <param name="seed">The world's seed.</param>
    /// <param name="time">The virtual time.</param>
    /// <param name="where">Host and connection.</param>
    /// <param name="what">What was wrong.</param>
    /// <param name="inner">What was thrown, when the stack threw.</param>
    public SimulationFailureException(string judge, ulong seed, Instant time, string where, string what, Exception? inner = null)
        : base(string.Create(CultureInfo.InvariantCulture, $"seed {seed}, {time}, {where}: {what} [{judge}]"), inner)
    {
        (Judge, Seed, Time, Where, What) = (judge, seed, time, where, what);
    }

    /// <summary>The judge's name.</summary>
    public string Judge { get; }

    /// <summary>The world's seed.</summary>
    public ulong Seed { get; }

    /// <summary>The virtual time.</summary>
    public Instant Time { get; }

    /// <summary>Host and connection.</summary>
    public string Where { get; }

    /// <summary>What was wrong.</summary>
    public string What { get; }
}
