//! The program as a shell sees it: arguments, output, exit statuses, signals.

#[cfg(feature = "rabbitmq")]
mod brokers;
mod check;
mod clock;
mod config;
mod flash_sales;
mod generate;
mod guide;
mod help;
mod imports;
mod keys;
mod load;
mod load_flash_sale;
mod loss;
mod postgres;
mod program;
mod project;
mod providers;
mod proxies;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
mod sale_rush;
mod sale_statistics;
mod serve;
mod transfer;
