<?php
// Orders what the command line names.
require __DIR__ . '/queue.php';

foreach (array_slice($argv, 1) as $id) {
    $queue->getConnection()->push('ShipOrder', ['id' => $id]);
}
